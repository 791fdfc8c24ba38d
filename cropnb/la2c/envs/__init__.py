"""LA2C's environment: photos, what the agent sees of them, and many episodes side by side."""
