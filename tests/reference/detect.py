#!/usr/bin/env python3
"""Compares `visor detect` with a direct run of each detector and prints a Markdown table.

The direct run is what a model's authors publish: RGB pictures, OpenCV's resizing, ONNX Runtime, float arithmetic, a
textbook decoder. Needs onnxruntime, numpy < 2, opencv-python-headless; a built visor; models in models/store; and the
folder of development pictures in VISOR_ASSETS.

    python3 tests/reference/detect.py [--visor target/debug/visor] [--model NAME]...
"""
import argparse
import itertools
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

import cv2
import numpy as np
import onnxruntime as ort

ROOT = pathlib.Path(__file__).resolve().parents[2]


# Decoders: outputs and input size to rows of x, y, w, h, score in pixels of the input.


def grid(width, height, stride):
    columns, rows = math.ceil(width / stride), math.ceil(height / stride)
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)


def yunet(out, width, height):
    found = []
    for level, stride in enumerate((8, 16, 32)):
        cls, obj, box = (out[level + 3 * part][0] for part in range(3))
        score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))
        centre = (grid(width, height, stride) + box[:, :2]) * stride
        size = np.exp(box[:, 2:]) * stride
        found.append(np.hstack([centre - size / 2, size, score]))
    return np.vstack(found)


def scrfd(out, width, height):
    found = []
    for level, stride in enumerate((8, 16, 32)):
        score, side = out[level].reshape(-1, 1), out[level + 3].reshape(-1, 4) * stride
        centre = np.repeat(grid(width, height, stride) * stride, 2, axis=0)
        top_left = centre - side[:, :2]
        found.append(np.hstack([top_left, centre + side[:, 2:] - top_left, score]))
    return np.vstack(found)


def retinaface(out, width, height):
    if len(out) == 1:
        loc, logits = out[0][0][:, :4], out[0][0][:, 4:6]
        e = np.exp(logits - logits.max(1, keepdims=True))
        conf = e / e.sum(1, keepdims=True)
    else:
        loc, conf = out[0][0], out[1][0]
    priors = []
    for stride, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        for (column, row), side in itertools.product(grid(width, height, stride), sides):
            priors.append(((column + 0.5) * stride, (row + 0.5) * stride, side, side))
    priors = np.array(priors, np.float32)
    centre = priors[:, :2] + loc[:, :2] * 0.1 * priors[:, 2:]
    size = priors[:, 2:] * np.exp(loc[:, 2:] * 0.2)
    return np.hstack([centre - size / 2, size, conf[:, 1:]])


def centerface(out, width, height):
    heat, scale, offset = out[0][0, 0], out[1][0], out[2][0]
    rows, columns = np.indices(heat.shape)
    h, w = np.exp(scale[0]) * 4, np.exp(scale[1]) * 4
    x = (columns + offset[1] + 0.5) * 4 - w / 2
    y = (rows + offset[0] + 0.5) * 4 - h / 2
    return np.stack([x.ravel(), y.ravel(), w.ravel(), h.ravel(), heat.ravel()], 1)


def ultraface(out, width, height):
    corners = out[1][0] * np.array([width, height, width, height], np.float32)
    return np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2], out[0][0][:, 1:]])


def ssd(out, width, height):
    scores = out[2][0] if len(out) == 4 else out[1][0]
    y1, x1, y2, x2 = (out[0][0] * np.array([height, width, height, width], np.float32)).T
    rows = np.stack([x1, y1, x2 - x1, y2 - y1, scores], 1)
    return rows[: int(out[3][0])] if len(out) == 4 else rows


FAMILIES = {f.__name__: f for f in (yunet, scrfd, retinaface, centerface, ultraface, ssd)}


def iou(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(w, 0) * max(h, 0)
    return common / (a[2] * a[3] + b[2] * b[3] - common + 1e-9)


def suppress(rows, score, limit):
    kept = []
    for row in sorted(rows[rows[:, 4] >= score].tolist(), key=lambda row: -row[4]):
        if all(iou(row, other) <= limit for other in kept):
            kept.append(row)
    return kept


class Reference:
    """A model run directly, as its manifest says."""

    def __init__(self, manifest, size):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        options.log_severity_level = 3
        path = ROOT / "models/store" / manifest["file"]
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.manifest, self.size = manifest, size

    def faces(self, bgr):
        spec, (width, height) = self.manifest["input"], self.size
        h, w = bgr.shape[:2]
        if spec["resize"] == "letterbox":
            scale = min(width / w, height / h)
            ow, oh = max(round(w * scale), 1), max(round(h * scale), 1)
        else:
            ow, oh = width, height
        how = cv2.INTER_AREA if ow < w else cv2.INTER_LINEAR
        picture = np.zeros((height, width, 3), np.float32)
        picture[:oh, :ow] = cv2.resize(bgr.astype(np.float32), (ow, oh), interpolation=how)
        if spec["channels"] == "rgb":
            picture = picture[:, :, ::-1]
        values = (picture - np.array(spec["mean"])) * np.array(spec["scale"])
        if spec["layout"] == "nchw":
            values = values.transpose(2, 0, 1)
        values = values.round().astype(np.uint8) if spec["kind"] == "u8" else values.astype(np.float32)
        names = [output["name"] for output in self.manifest["outputs"]]
        out = self.session.run(names, {spec["name"]: np.ascontiguousarray(values[None])})
        rows = FAMILIES[self.manifest["family"]](out, width, height)
        limits = self.manifest["thresholds"]
        kept = suppress(rows, limits["score"], limits["nms"])
        return [(x * w / ow, y * h / oh, bw * w / ow, bh * h / oh, s) for x, y, bw, bh, s in kept]


def visor(program, manifest, size, files):
    command = [program, "detect", "--json", "--model", manifest["name"], "--input", f"{size[0]}x{size[1]}"]
    command += ["--accept-licence", manifest["name"], *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command[:7])}: {done.stderr}")
    lines = map(json.loads, done.stdout.splitlines())
    return {pathlib.Path(line["file"]): [(*face["box"], face["score"]) for face in line["faces"]] for line in lines}


def truth(assets):
    """Pictures, each with boxes (x, y, w, h) or nose points (x, y)."""
    faces = {}
    for part in ("testing", "training"):
        folder = assets / "media/detect/dlib_faces"
        text = (folder / f"{part}.xml").read_text(encoding="latin-1")
        for name, body in re.findall(r"<image file='([^']+)'[^>]*>(.*?)</image>", text, re.S):
            boxes = re.findall(r"top='(-?\d+)' left='(-?\d+)' width='(\d+)' height='(\d+)'", body)
            faces[folder / name] = [(int(x), int(y), int(w), int(h)) for y, x, w, h in boxes]
    folder = assets / "media/detect/compreface"
    for name, noses in json.loads((folder / "annotations.json").read_text())["nose_points_xy"].items():
        faces[folder / name] = [tuple(nose) for nose in noses]
    return faces


def hits(found, wanted):
    if len(wanted) == 4:
        return any(iou(face, wanted) >= 0.3 for face in found)
    x, y = wanted
    return any(f[0] <= x <= f[0] + f[2] and f[1] <= y <= f[1] + f[3] for f in found)


def recall(found, faces):
    each = [hits(found[path], face) for path, wanted in faces.items() for face in wanted]
    return sum(each) / len(each)


def unscaled(pictures, size, folder):
    """Pictures of exactly the input's size, so that neither side scales. Flat chroma blocks: 4:2:0 loses nothing."""
    for i, bgr in enumerate(pictures.values()):
        small = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
        ycc = cv2.cvtColor(small, cv2.COLOR_BGR2YCrCb)
        half = cv2.resize(ycc[:, :, 1:], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        ycc[:, :, 1:] = cv2.resize(half, size, interpolation=cv2.INTER_NEAREST)
        path = pathlib.Path(folder) / f"{i:02}.png"
        cv2.imwrite(str(path), cv2.cvtColor(ycc, cv2.COLOR_YCrCb2BGR))
        yield path


def far_apart(ours, theirs):
    """Greatest distance of a side between boxes of the same face, and faces that only one side has."""
    apart, alone = [], 0
    for face in theirs:
        best = max(ours, key=lambda other: iou(face, other), default=None)
        if best is None or iou(best, face) < 0.5:
            alone += face[4] > 0.02 + min((f[4] for f in theirs), default=0)
            continue
        sides = lambda f: (f[0], f[1], f[0] + f[2], f[1] + f[3])
        apart.append(max(abs(a - b) for a, b in zip(sides(best), sides(face))))
    return apart, alone + max(len(ours) - len(theirs), 0)


def compare(program, manifest, faces, pictures):
    size = tuple(manifest["input"]["size"])
    reference = Reference(manifest, size)
    ours = visor(program, manifest, size, faces)
    theirs = {path: reference.faces(bgr) for path, bgr in pictures.items()}
    with tempfile.TemporaryDirectory() as folder:
        files = list(unscaled(pictures, size, folder))
        exact = visor(program, manifest, size, files)
        pairs = [far_apart(exact[path], reference.faces(cv2.imread(str(path)))) for path in files]
    apart = [distance for distances, _ in pairs for distance in distances]
    ours, theirs = recall(ours, faces), recall(theirs, faces)
    print(
        f"| {manifest['name']} | {size[0]}x{size[1]} | {manifest['thresholds']['score']} | {ours:.3f} | {theirs:.3f}"
        f" | {ours - theirs:+.3f} | {np.median(apart):.2f} | {max(apart):.2f} | {len(apart)} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visor", default=str(ROOT / "target/debug/visor"))
    parser.add_argument("--model", action="append", help="only this one; may be given again")
    options = parser.parse_args()
    if "VISOR_ASSETS" not in os.environ:
        sys.exit("VISOR_ASSETS does not name the folder of development pictures")
    faces = truth(pathlib.Path(os.environ["VISOR_ASSETS"]))
    pictures = {path: cv2.imread(str(path)) for path in faces}
    print("| model | input | score | recall | reference | difference | box, median px | box, greatest px | boxes |")
    print("|---|---|---|---|---|---|---|---|---|")
    for path in sorted((ROOT / "models").glob("*.toml")):
        manifest = tomllib.loads(path.read_text())
        wanted = not options.model or manifest["name"] in options.model
        if manifest["task"] == "detect" and wanted:
            compare(options.visor, manifest, faces, pictures)


if __name__ == "__main__":
    main()
