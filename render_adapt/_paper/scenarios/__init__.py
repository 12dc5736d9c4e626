"""What systems are trained and tested on: digits and LINEMOD's objects, in the paper's splits."""
