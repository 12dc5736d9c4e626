"""`python -m render_adapt`: the command line, where no script is on the path."""

from render_adapt._own_packages import leave_working_directory
from render_adapt._start import main

__all__ = ["main"]

if __name__ == "__main__":
    leave_working_directory()
    main()
