"""What comes of it: tables, figures and timings, and the pages that show them."""
