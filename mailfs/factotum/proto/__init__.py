"""The protocols, one file each; this is the table of them."""

from mailfs.factotum.proto.bearer import OAUTH, OAUTHBEARER, XOAUTH2
from mailfs.factotum.proto.digest import APOP, CRAM
from mailfs.factotum.proto.dp9ik import DP9IK
from mailfs.factotum.proto.p9any import P9ANY
from mailfs.factotum.proto.p9sk1 import P9SK1
from mailfs.factotum.proto.passwd import PASS
from mailfs.factotum.proto.plain import LOGIN, PLAIN
from mailfs.factotum.proto.rsa import RSA
from mailfs.factotum.proto.scram import SHA1, SHA256
from mailfs.factotum.proto.totp import TOTP
from mailfs.factotum.step import Proto

PROTOS: dict[str, Proto] = {
    row.name: row
    for row in (
        *(APOP, CRAM, LOGIN, PASS, PLAIN, SHA1, SHA256),
        *(OAUTH, OAUTHBEARER, XOAUTH2, TOTP, RSA),
        *(DP9IK, P9ANY, P9SK1),
    )
}
