"""Mailboxes: messages with numbers that stay, over stores of several kinds."""
