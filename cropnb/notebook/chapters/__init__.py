"""Figures and tables that a single chapter draws: one module a chapter, named like its notebook.

They draw what the chapter has computed and measure nothing themselves.
"""
