"""The SMTP client: smtp(8), RFC 5321."""
