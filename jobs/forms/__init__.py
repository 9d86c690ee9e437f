"""Forms: what pages and addresses may say, one module per page."""
