"""The manual: pages, and what is in them because the verbs' parsers say so.

man1 ... man7   the pages: mdoc written by hand; synopses and options are filled in
page        one page, by sections
synopsis    what a verb takes, read from its parser
mdoc        the macros that the generated parts are made of
"""
