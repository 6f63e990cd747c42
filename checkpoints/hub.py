"""Models on the Hugging Face Hub: what of one is read, and how a folder gets there.

A model is named "owner/name", or "owner/name@revision" for a branch, a tag or a commit.
"""

import re
from pathlib import Path

from huggingface_hub import HfApi, get_token, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

WEIGHTS = "model.safetensors"
READ = ["config.yaml", "card.json", "README.md", "*.safetensors"]  # nothing else is fetched: no pickle, no code
NAMED = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")
LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


def is_hub_id(given: str | Path) -> bool:
    """Whether a text may name a model on the Hub: it looks like "owner/name", and no folder `owner` is here."""
    text = str(given)
    is_file = text.endswith((".ckpt", ".safetensors", ".yaml"))
    return bool(NAMED.fullmatch(text)) and not is_file and not Path(text.partition("/")[0]).exists()


def fetch(hub_id: str) -> Path:
    """The weights of a model on the Hub, in a folder with its config.yaml; kept on this machine after the first time.

    Raises FileNotFoundError where there is no such model, revision or file, PermissionError where it is not for
    everybody, ConnectionError where the Hub cannot be reached, ValueError for what is no id.
    """
    name, _, revision = hub_id.partition("@")
    try:
        folder = Path(snapshot_download(name, revision=revision or None, allow_patterns=READ))
    except HFValidationError as error:
        raise ValueError(f"{hub_id!r} names no model on the Hub: {_first_line(error)}") from error
    except GatedRepoError as error:
        raise PermissionError(
            f"the owner of {name} asks who uses it: open its page on the Hub, then {LOGIN}"
        ) from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no model {name}, neither here nor on the Hub; correct its name, or, where it is private, {LOGIN}"
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(
            f"{name} has no revision {revision!r}; name a branch, a tag or a commit of it"
        ) from error
    except LocalEntryNotFoundError as error:
        raise ConnectionError(
            f"{hub_id} is not on this machine, and the Hub cannot be reached; connect to the network once, or name a "
            "folder with a model"
        ) from error
    except OSError as error:
        raise ConnectionError(f"{hub_id} cannot be fetched from the Hub: {_first_line(error)}; try again") from error
    for needed in (WEIGHTS, "config.yaml"):
        if not (folder / needed).is_file():
            raise FileNotFoundError(f"{hub_id} on the Hub has no {needed}; name a model that `publish` put there")
    return folder / WEIGHTS


def check_token() -> None:
    """Raises PermissionError on a machine that never logged in to the Hub."""
    if not get_token():
        raise PermissionError(f"the Hub does not know you: {LOGIN}; a folder is written as ./FOLDER")


def upload(folder: Path, name: str, private: bool = False) -> str:
    """Put a folder on the Hub as "owner/name", which is made where there is none; returns the address of the commit.

    Raises PermissionError for a token that may not write there, ConnectionError where the Hub cannot be reached or
    refuses, ValueError for what is no id.
    """
    api = HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=name, folder_path=folder, commit_message="Published by Firstlight")
        return str(commit.commit_url)
    except HFValidationError as error:
        raise ValueError(f"{name!r} cannot be a name on the Hub: {_first_line(error)}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise PermissionError(
                f"the Hub does not let you write to {name}: {LOGIN}, with a token that may"
            ) from error
        raise ConnectionError(f"the Hub refused {name}: {_first_line(error)}") from error
    except Exception as error:  # the classes of whatever library connects
        if not _is_about_the_network(error):
            raise
        raise ConnectionError(f"the Hub cannot be reached: {_first_line(error)}; connect to the network") from error


def _is_about_the_network(error: Exception) -> bool:
    """Whether an error is an OSError, or of a client for HTTP."""
    modules = [kind.__module__ for kind in type(error).__mro__]
    return isinstance(error, OSError) or any(module.startswith(("http", "requests")) for module in modules)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
