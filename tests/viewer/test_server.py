"""The server: what it gives, and what it refuses."""

from __future__ import annotations

import http.client
import json
from urllib.parse import quote, urlsplit

import pytest

from openpair.cli.main import main
from openpair.errors import OpenPairError
from openpair.ports import bind


def ask(served, path, *, method="GET", host=None, token=True):
    """Status, headers and body of a request, sent byte for byte as it stands here."""
    where = urlsplit(served.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    connection.putrequest(method, f"/{served.token}{path}" if token else path, skip_host=True)
    connection.putheader("Host", host or where.netloc)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def test_the_table_and_a_scene(served):
    status, _, body = ask(served, "/data/table")
    table = json.loads(body)
    assert status == 200 and [column["agent"] for column in table["columns"]] == ["human", "constant_velocity", "mine"]
    status, _, body = ask(served, f"/data/scene/{table['token'][0]}?agent=0.human&agent=0.mine")
    scene = json.loads(body)
    assert status == 200 and scene["svg"].startswith("<svg ") and len(scene["moves"]["ego:0.mine"]) == 41
    mine = scene["plans"][1]
    assert mine["tone"] == 0 and scene["plans"][0]["tone"] is None
    assert {"short", "value", "text", "step", "gain"} <= mine["findings"][0].keys()
    status, _, body = ask(served, f"/data/sensors/{table['token'][0]}")
    sensors = json.loads(body)
    assert sensors["camera"]["src"].startswith("data:image/jpeg;base64,") and 'class="lidar"' in sensors["lidar"]


def test_headers_hold_the_page_to_itself(served):
    status, headers, body = ask(served, "/")
    policy = headers["content-security-policy"]
    assert status == 200 and "default-src 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers and b"http:" not in body and b"<style" not in body
    for path, kind in (("/app.js", "text/javascript"), ("/app.css", "text/css")):
        status, headers, _ = ask(served, path)
        assert status == 200 and headers["content-type"].startswith(kind)


@pytest.mark.parametrize("path", ["/", "/wrong-token/", "/wrong-token/data/table", "/app.js"])
def test_without_the_token_there_is_nothing(served, path):
    status, _, body = ask(served, path, token=False)
    assert status == 404 and b"openpair view" in body


def test_other_names_and_writing_are_refused(served):
    assert ask(served, "/", host="evil.example")[0] == 421
    assert ask(served, "/", host="127.0.0.1.evil.example:80")[0] == 421
    assert ask(served, "/data/table", method="POST")[0] == 405
    assert ask(served, "", token=True)[0] == 307


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/data/scene/../../../../etc/passwd",
        f"/data/scene/{quote('../../etc/passwd', safe='')}",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/summary.json",
        "/data/scene/no-such-token",
    ],
)
def test_no_path_leads_outside(served, path):
    status, _, body = ask(served, path)
    assert status in (404, 422) and b"root:" not in body


def test_errors_are_sentences(served):
    token = served.desk.book.tokens[0]
    for path, said in (
        ("/data/scene/nowhere", "this scene is in none of the results"),
        (f"/data/scene/{token}?agent=0.nobody", "there is no agent '0.nobody' here"),
        (f"/data/inside/{token}?agent=0.mine", "has no networks here"),
    ):
        status, _, body = ask(served, path)
        assert status == 422 and said in json.loads(body)["error"]


def test_a_port_in_use_is_one_sentence():
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(OpenPairError, match=f"port {port} cannot be used on 127.0.0.1"):
            bind("127.0.0.1", port)
    with pytest.raises(OpenPairError, match="port 99999 cannot be used"):
        bind("127.0.0.1", 99999)
    with pytest.raises(OpenPairError, match=r"--host 192\.0\.2\.1: this machine has no such address"):
        bind("192.0.2.1", 0)  # reserved for documentation


def test_the_command_names_what_is_wrong(result, tmp_path, capsys):
    trains = tmp_path / "demo" / "run" / "il"
    trains.mkdir(parents=True)
    (trains / "curve.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    for arguments, said in (
        ([tmp_path / "nothing"], "there is no such result"),
        ([result, "--agent", "mime"], "no result has an agent 'mime'. Did you mean 'mine'"),
        ([result, "--export", tmp_path / "a.pdf"], "the file is not .html"),
        ([result, "--export", tmp_path / "a.html", "--scene", "nowhere"], "this scene is in none of the results"),
        ([result / "scores.csv"], "this is no result; its folder may be one"),
        ([tmp_path / "demo", "--export", tmp_path / "a.html"], "training runs alone here: no scenes and no scores yet"),
        ([result, "--root", tmp_path / "gone", "--export", tmp_path / "a.html"], "is not there. Say where it is"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["view", *map(str, arguments)])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
