#!/usr/bin/env bash
# Guess: signing a small generated picture adds a few kilobytes, the certificates most of all, and a thumbnail is never larger than the picture.
# Version: c2pa-python 0.38.1.
# Behaviour: a thumbnail is made unless the settings say otherwise, and a picture of 64 pixels is enlarged for it. Signing takes many times as long, and the file grows by twenty times.
# Seen: a PNG of 12 KB becomes one of over 200 KB; with builder.thumbnail.enabled false it grows by less than 5 KB.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet c2pa-python==0.38.1 cryptography==50.0.2 pillow==13.0.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import datetime
import io

import c2pa
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image

USES = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
NOW = datetime.datetime.now(datetime.UTC)


def certificate(subject, key, issuer, by, authority):
    names = [x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example"), x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in (issuer, subject)]
    made = x509.CertificateBuilder(*names, key.public_key(), x509.random_serial_number(), NOW - datetime.timedelta(1), NOW + datetime.timedelta(1))
    made = made.add_extension(x509.BasicConstraints(authority, 0 if authority else None), True)
    made = made.add_extension(x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **dict.fromkeys(USES, False)), True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False)
    if not authority:
        made = made.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return made.sign(by, hashes.SHA256()).public_bytes(Encoding.PEM)


above, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
chain = certificate("signer", key, "authority", above, False) + certificate("authority", above, "authority", above, True)
secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

buffer = io.BytesIO()
Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, "PNG")
picture = buffer.getvalue()
created = {"action": "c2pa.created", "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"}
manifest = {"claim_generator_info": [{"name": "example"}], "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}]}


def signed(settings):
    signer, out = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, secret, None)), io.BytesIO()
    c2pa.Builder(manifest, context=c2pa.Context(settings=c2pa.Settings.from_dict(settings))).sign(signer, "image/png", io.BytesIO(picture), out)
    return len(out.getvalue())


sizes = len(picture), signed({}), signed({"builder": {"thumbnail": {"enabled": False}}})
print("picture, signed, signed without a thumbnail:", *sizes)
assert sizes[1] > 15 * sizes[0] and sizes[2] < sizes[0] + 5_000, "changed"
PYTHON
