"""Addresses and settings of archives: what can be meant, and what is refused before anything is asked."""

import pytest

from voxeldose.errors import InputError
from voxeldose.io.config.archive import Peer, read_archive

WEB, OWN = 'url = "https://pacs/dicom-web"\n', 'url = "dicoms://PACS@pacs"\n'


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("https://pacs.example/dicom-web", Peer("https", "pacs.example", 443)),
        ("http://127.0.0.1:8042/dicom-web", Peer("http", "127.0.0.1", 8042)),
        ("dicom://PACS@10.0.0.7:4242", Peer("dicom", "10.0.0.7", 4242, "PACS")),
        ("dicoms://PACS@10.0.0.7", Peer("dicoms", "10.0.0.7", 2762, "PACS")),
        ("dicom://PACS@[::1]:104", Peer("dicom", "::1", 104, "PACS")),
    ],
)
def test_an_address_says_host_port_and_title(text, peer):
    assert read_archive(text).peer == peer


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ftp://pacs", "archive-url"),
        ("dicom://10.0.0.7:104", "archive-url"),
        ("dicom://PACS:letmein@10.0.0.7:104", "archive-url"),
        ("dicom://PACS@10.0.0.7:99999", "archive-url"),
        ("dicom://PACS@10.0.0.7:104/studies", "archive-url"),
        ("https://ada:letmein@pacs/dicom-web", "archive-url"),
        ("dicom://ATITLETHATISTOOLONG@10.0.0.7:104", "ae-title"),
        ("nothing.toml", "file-missing"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(text, code):
    with pytest.raises(InputError) as caught:
        read_archive(text)
    assert caught.value.code == code
    assert "letmein" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (OWN + 'calling_ea = "A"', "key-unknown"),
        (OWN + 'retrieve = "move"', "key-missing"),
        (OWN + 'receive = "11112"', "value-wrong"),
        (OWN + "attempts = 0", "value-wrong"),
        (OWN + '[login]\ntoken = { env = "T" }', "keys-contradict"),
        (WEB + "[login]\ntoken = {}", "keys-contradict"),
        (WEB + '[login]\ntoken = "the word itself"', "value-wrong"),
        (WEB + '[login]\nuser = "ada"', "key-missing"),
        (WEB + '[login]\nuser = "ada"\npassword = { env = "P" }\ntoken = { env = "T" }', "keys-contradict"),
        ('url = "http://pacs/dicom-web"\n[login]\ntoken = { env = "T" }', "login-unencrypted"),
        ('url = "dicom://PACS@pacs"\n[tls]\nca = "ca.pem"', "keys-contradict"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(text, code, tmp_path):
    (tmp_path / "pacs.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_archive(str(tmp_path / "pacs.toml"))
    assert caught.value.code == code


def test_files_are_seen_from_the_file_that_names_them(tmp_path):
    text = OWN + '[tls]\nca = "ca.pem"\ncertificate = "us.pem"\nkey = "/keys/us.key"\nkey_password = { file = "word" }'
    (tmp_path / "pacs.toml").write_text(text)
    tls = read_archive(str(tmp_path / "pacs.toml")).tls
    assert (tls.ca, tls.certificate) == (str(tmp_path / "ca.pem"), str(tmp_path / "us.pem"))
    assert tls.key == "/keys/us.key"
    assert tls.key_password.file == str(tmp_path / "word")
