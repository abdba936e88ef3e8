"""Mail made from a text and files, and handed over to be sent; marshal(1)."""
