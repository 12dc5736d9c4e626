"""Files: one way to open those that somebody else may have made, and one way to write ours.

Every package opens and writes through here (`tests/test_safe_files.py` holds them to it), so that a
link out of a folder, a pipe, a device or a small file that claims the whole memory is refused in
one place.

Convention:
    What cannot be used is an `OSError` whose `strerror` is a phrase to end a sentence with.
"""

from safe_files._decode import MOST_PIXELS, decode_picture, picture_size
from safe_files._hash import hash_folder, hash_open_file
from safe_files._lock import FolderLock
from safe_files._read import (
    UnusableFileError,
    list_folder,
    numbers_of,
    open_file,
    parse_json,
    parse_toml,
    read_file,
)
from safe_files._write import (
    append_bytes,
    append_to,
    create_file,
    flush_folder,
    is_partial,
    partials_of,
    remove_partials,
    write_file,
    write_file_with,
)

__all__ = [
    "MOST_PIXELS",
    "FolderLock",
    "UnusableFileError",
    "append_bytes",
    "append_to",
    "create_file",
    "decode_picture",
    "flush_folder",
    "hash_folder",
    "hash_open_file",
    "is_partial",
    "list_folder",
    "numbers_of",
    "open_file",
    "parse_json",
    "parse_toml",
    "partials_of",
    "picture_size",
    "read_file",
    "remove_partials",
    "write_file",
    "write_file_with",
]
