"""Images saved and compared: equal, or the first block that differs, in whatever the image was wrapped."""

from __future__ import annotations

import base64
import json
import pathlib
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.wire import tlv


def changed(image: bytes, at: int) -> bytes:
    """The image with one bit of it changed."""
    return image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]


def pushed(ready: Any, image: bytes, **how: Any) -> lab.Update:
    """The update that a push of an image is."""
    ready.push(image, szx=5, **how)
    update: lab.Update = ready.capture().update(0)
    return update


def test_an_image_that_is_the_file(ready: Any, image: bytes, tmp_path: pathlib.Path) -> None:
    """Saved, it is the file, byte for byte."""
    update = pushed(ready, image)
    update.save_image(tmp_path / "fw.bin")
    assert (tmp_path / "fw.bin").read_bytes() == image
    comparison = update.compare_image(tmp_path / "fw.bin")
    assert (comparison.equal, str(comparison)) == (True, "the image is fw.bin, byte for byte")


@pytest.mark.parametrize("at", [0, 511, 512, 1300, 2999])
def test_the_first_block_that_differs(ready: Any, image: bytes, at: int) -> None:
    """Block, offset, frame, and the bytes on either side."""
    update = pushed(ready, image)
    comparison = update.compare_image(changed(changed(image, 2999), at) if at != 2999 else changed(image, at))
    assert (comparison.equal, comparison.offset, comparison.block) == (False, at, at // 512)
    carried = ready.capture().payload(comparison.frame)
    assert carried == image[at // 512 * 512 :][:512]
    assert comparison.found == image[at : at + 8]
    assert comparison.expected[0] == image[at] ^ 1


def test_longer_and_shorter(ready: Any, image: bytes) -> None:
    """Where one ends and the other goes on."""
    update = pushed(ready, image)
    assert str(update.compare_image(image + b"abc")) == (
        "the image ends at byte 3000, where what was expected has 3 bytes more"
    )
    shorter = update.compare_image(image[:1000])
    assert "goes on where what was expected ends, at byte 1000, in block 1" in shorter.sentence
    assert shorter.sentence.endswith("it has 2000 bytes more")


def test_an_image_that_is_not_whole(ready: Any, image: bytes, tmp_path: pathlib.Path) -> None:
    """It is compared as far as it was seen, and not saved."""
    update = pushed(ready, image, which=[0, 1, 3])
    assert update.compare_image(image).equal is None
    assert (update.compare_image(changed(image, 1600)).offset, update.compare_image(changed(image, 1600)).block) == (
        1600,
        3,
    )
    assert update.compare_image(changed(image, 1100)).equal is None
    with pytest.raises(lab.LabError, match="not whole in the capture"):
        update.save_image(tmp_path / "fw.bin")
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_somebody_wrapped(ready: Any, image: bytes) -> None:
    """The server sends TLV as opaque: the first bytes are a header."""
    update = pushed(ready, tlv.encode_record(tlv.RESOURCE, 0, image))
    assert (
        str(update.compare_image(image))
        == "the image is what was expected wrapped in TLV: 4 bytes of header stand in front"
    )


def test_an_image_in_base64(ready: Any, image: bytes) -> None:
    """So is base64 that nobody took off."""
    assert "in base64" in str(pushed(ready, base64.b64encode(image)).compare_image(image))


def test_blocks_of_tlv_keep_their_frames(ready: Any, image: bytes) -> None:
    """The header of declared TLV shifts the blocks, and the frame is still the right one."""
    body = tlv.encode_record(tlv.RESOURCE, 0, image)
    for num in range(-(-len(body) // 512)):
        more = int((num + 1) * 512 < len(body))
        part = body[num * 512 : num * 512 + 512].hex()
        ready.script(
            f"server > device CON PUT /5/0/0 1:{num}/{more}/512 cf=11542 hex={part}\n"
            f"device > server ACK {'2.31' if more else '2.04'} 1:{num}/{more}/512"
        )
    update = ready.capture().update(0)
    assert update.image_size == len(image)
    comparison = update.compare_image(changed(image, 1022))
    assert (comparison.offset, comparison.block) == (1022, 2)
    assert update.compare_image(image).equal is True


def test_an_image_that_came_by_http(ready: Any, Talk: Any, image: bytes) -> None:
    """The frame is that of the segment."""
    ready.exchange("0.03", "/5/0/1", "2.04", payload=b"http://192.0.2.1:8080/fw.bin", content_format=0)
    talk = Talk(ready.packets, now=ready.now).open().asks(b"GET /fw.bin HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n\r\n")
    talk.answers(f"HTTP/1.1 200 OK\r\nContent-Length: {len(image)}\r\n\r\n".encode())
    first = len(ready.packets)
    talk.answers(image)
    comparison = ready.capture().update(0).compare_image(changed(image, 1500))
    assert (comparison.offset, comparison.block, comparison.frame) == (1500, None, first + 2)


def test_no_such_file(ready: Any, image: bytes) -> None:
    """One sentence."""
    with pytest.raises(lab.LabError, match="nowhere.bin cannot be read"):
        pushed(ready, image).compare_image("nowhere.bin")


def test_the_command_line(ready: Any, image: bytes, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`explain --image` and `--save-images`, in words and as JSON."""
    ready.push(image)
    ready.capture().save(tmp_path / "x.pcapng")
    (tmp_path / "fw.bin").write_bytes(changed(image, 7))
    arguments = ["explain", str(tmp_path / "x.pcapng"), "--image", str(tmp_path / "fw.bin")]
    assert main([*arguments, "--save-images", str(tmp_path / "new" / "images")]) == 0
    said = capsys.readouterr()
    assert "dev-1: the image differs from fw.bin from byte 7 on, in block 0, frame" in said.out
    assert "dev-1-0.bin is the image of dev-1" in said.err
    assert (tmp_path / "new" / "images" / "dev-1-0.bin").read_bytes() == image
    assert main([*arguments, "--json"]) == 0
    (update,) = json.loads(capsys.readouterr().out)["updates"]
    assert (update["image_comparison"]["equal"], update["image_comparison"]["offset"]) == (False, 7)
    assert main(["explain", str(tmp_path / "x.pcapng"), "--image", str(tmp_path / "none.bin")]) == 2
    assert "none.bin cannot be read" in capsys.readouterr().err


def test_the_image_is_named(ready: Any, image: bytes) -> None:
    """MCUboot's version, and whether its hash is right."""
    assert "MCUboot version 2.1.0, hash valid" in str(lab.explain(pushed(ready, image).capture))
