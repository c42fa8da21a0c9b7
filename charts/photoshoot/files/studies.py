"""Make Optuna's tables where there are none: what the dashboard does before it starts.

Environment: OPTUNA_STORAGE, SQLAlchemy's URL; libpq's PGPASSWORD. Ends with 1 when the tables are those of another
version of Optuna: `optuna storage upgrade` brings them forward, after a backup.
"""

from __future__ import annotations

import os
import sys

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

try:
    RDBStorage(os.environ["OPTUNA_STORAGE"])
except (StorageInternalError, SQLAlchemyError, RuntimeError) as problem:
    sys.exit(f"error: {os.environ['OPTUNA_STORAGE']}: {problem}")
