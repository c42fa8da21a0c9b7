"""Put a backup into a bucket: upload.py FOLDER gs://bucket/prefix. The second half of the CronJob backup.

Every file of FOLDER/<time>/ becomes <prefix>/<time>/<file>; SHA256SUMS comes last, so a folder that has it is whole.
Google's client checks each object's CRC32C; an object that is there already is never overwritten.
"""

from __future__ import annotations

import sys
from pathlib import Path

from google.api_core.exceptions import GoogleAPIError, PreconditionFailed
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage


def main(folder: Path, destination: str) -> None:
    bucket_name, _, prefix = destination.removeprefix("gs://").partition("/")
    files = [file for file in folder.glob("[0-9]*Z/*") if file.is_file()]
    if not files:
        raise SystemExit(f"error: {folder} holds no backup")
    bucket = storage.Client().bucket(bucket_name)
    for file in sorted(files, key=lambda file: (file.name == "SHA256SUMS", file)):
        name = "/".join(part for part in (prefix.strip("/"), file.parent.name, file.name) if part)
        try:
            bucket.blob(name).upload_from_filename(file, checksum="crc32c", if_generation_match=0)
        except PreconditionFailed:
            print(f"gs://{bucket_name}/{name}: there already")
        else:
            print(f"gs://{bucket_name}/{name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except (GoogleAPIError, GoogleAuthError, OSError) as problem:
        sys.exit(f"error: {sys.argv[2]}: {problem}")
