"""The manual: pages, and what is in them because the verbs' parsers say so."""
