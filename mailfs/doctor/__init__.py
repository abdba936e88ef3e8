"""Looking for what keeps mail from being read and sent; nothing is ever changed."""
