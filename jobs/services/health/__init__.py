"""Whether the product itself works, and who is told when it does not."""
