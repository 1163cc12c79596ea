"""Various topic related sub-commands."""

from .topic_echo import EchoVerb
from .topic_graph import InfoVerb, ListVerb, TypeVerb
from .topic_hz import HzVerb
from .topic_pub import PubVerb

VERBS = {
    "echo": EchoVerb,
    "hz": HzVerb,
    "info": InfoVerb,
    "list": ListVerb,
    "pub": PubVerb,
    "type": TypeVerb,
}
