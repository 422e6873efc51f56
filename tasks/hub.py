"""The folder of an exported generator on the Hugging Face Hub, by the Hub's own library.

The token comes from the environment alone (`HF_TOKEN`), and the Hub's address too, where it is not the public one (`HF_ENDPOINT`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gan_core.errors import ConfigError, GantryError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_HTTP = ("httpx", "httpx2", "httpcore", "httpcore2")
TOKEN = "HF_TOKEN"  # noqa: S105  the variable's name


class Hub:
    """A repository of a person or organisation there."""

    def __init__(self, repository: str) -> None:
        """See that it can be written to; nothing is written yet.

        Args:
            repository: `OWNER/NAME`.

        Raises:
            ConfigError: the library or the token is missing, the name is none, or the Hub does not take the token.
            GantryError: the Hub does not answer.
        """
        token = os.environ.get(TOKEN)
        if not token:
            raise ConfigError(f"--push: no token; set {TOKEN} to one that may write")
        try:
            from huggingface_hub import HfApi
            from huggingface_hub.errors import HFValidationError
            from huggingface_hub.utils._validators import validate_repo_id
        except ImportError:
            raise ConfigError("--push needs huggingface-hub; install it: pip install 'gantry-gan[hub]'") from None
        try:
            validate_repo_id(repository)
        except HFValidationError as error:
            raise ConfigError(f"--push: {str(error).partition('.')[0]}") from None
        if "/" not in repository:
            raise ConfigError(f"--push: {repository!r} has no owner; write OWNER/{repository}")
        self.repository = repository
        self._api: HfApi = HfApi(token=token, library_name="gantry")
        with self._asked():
            self._api.whoami()

    def push(self, folder: Path, message: str, public: bool) -> str:
        """Make a folder's files one commit; returns its address.

        Args:
            message: of the commit.
            public: whether all may see a repository that is made for it. One that is there stays as it is.

        Raises:
            ConfigError: the token may not write there.
            GantryError: the Hub does not answer.
        """
        with self._asked():
            self._api.create_repo(self.repository, private=not public, exist_ok=True)
            made = self._api.upload_folder(repo_id=self.repository, folder_path=folder, commit_message=message)
        return str(made.commit_url)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Errors of the library in words, without the token."""
        from huggingface_hub.errors import HfHubHTTPError

        try:
            yield
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status in (401, 403, 404):
                raise ConfigError(
                    f"--push: {self._api.endpoint} does not let the token of {TOKEN} write {self.repository} ({status})"
                ) from None
            raise GantryError(f"--push: {self._api.endpoint} answered {status}; try again later") from None
        except Exception as error:
            # The network's: the system's own, or of the HTTP library underneath, which is an implementation's choice.
            if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in _HTTP:
                raise
            said = re.sub(r"\s+", " ", str(error))[:200] or type(error).__name__
            raise GantryError(f"--push: {self._api.endpoint} cannot be reached ({said}); try again when it is there") from None
