"""The text of mail: headers, addresses, dates, MIME; octets in, values out."""
