"""Real datasets in one command each: fetch, verify, unpack, convert, report. The scripts of
`data_scripts/` call it.

`manifest` knows the addresses, `download` fetches a file and resumes it, `archives` unpacks it
safely, `photos` looks at every photo, `layouts` puts files where the readers look for them,
`install` does all of it in order and so that a reader never finds half a dataset, `flickr` fetches
FCDB's photos, `status` says what is there and what that blocks. Nothing here imports torch, so a
script starts at once and unpacks in little memory.
"""
