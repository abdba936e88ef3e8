"""What is sought in mail: one grammar for every place that takes a query.

tree     a query as a value
values   dates and sizes
lexer    words, quotes and parentheses
grammar  text to a query; errors name the word
tokens   how texts and queries are cut into words
match    whether a document answers a query
fulltext which words an SQLite FTS5 table is asked for
"""
