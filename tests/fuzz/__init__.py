"""Parsers fed with damaged and hostile input: see README.md."""
