"""Who asks, and what they may: roles, API keys, tokens of identity providers. The REST API asks here; nothing else does."""

from stepkeel.access.access import Access
from stepkeel.access.identity import Identity
from stepkeel.access.issuer import Issuer
from stepkeel.access.key import Key, Keys, NewKey
from stepkeel.access.role import BUILT_IN, Role
from stepkeel.access.signin import SignIn

__all__ = ["BUILT_IN", "Access", "Identity", "Issuer", "Key", "Keys", "NewKey", "Role", "SignIn"]
