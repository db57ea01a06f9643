"""A window of a U-Net by ONNX Runtime, in 32 bits, on all cores: convolutions, instance normalisation, LeakyReLU, skips.

usage: nnunet.py WEIGHTS (WEIGHTS.json lists shapes, WEIGHTS.f32 has the values)
needs: numpy, onnx, onnxruntime
prints: {"window_s", "logits", "onnxruntime", "threads"}, the best of several runs and 64 of the logits
"""
import json
import math
import os
import sys
import time

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper

RUNS = 3
COMPARED = 64


def read(path):
    with open(path + ".json") as file:
        about = json.load(file)
    values = numpy.fromfile(path + ".f32", "<f4")
    tensors = {}
    at = 0
    for name, shape in about["shapes"]:
        count = math.prod(shape)
        tensors[name] = values[at:at + count].reshape(shape)
        at += count
    return about, tensors


class Graph:
    def __init__(self, tensors):
        self.tensors = tensors
        self.nodes = []

    def add(self, kind, inputs, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def conv(self, x, name, stride, pad):
        return self.add(
            "Conv", [x, f"{name}.weight", f"{name}.bias"], strides=[stride] * 3, pads=[pad] * 6)

    def block(self, x, name, stride):
        x = self.conv(x, f"{name}.conv", stride, 1)
        x = self.add("InstanceNormalization", [x, f"{name}.norm.weight", f"{name}.norm.bias"], epsilon=1e-5)
        return self.add("LeakyRelu", [x], alpha=0.01)

    def up(self, x, name):
        return self.add("ConvTranspose", [x, f"{name}.weight", f"{name}.bias"], strides=[2] * 3)


def model(about, tensors):
    graph = Graph(tensors)
    x = "x"
    skips = []
    stages = len(about["features"])
    for stage in range(stages):
        x = graph.block(x, f"encoder.stages.{stage}.0.convs.0", 1 if stage == 0 else 2)
        x = graph.block(x, f"encoder.stages.{stage}.0.convs.1", 1)
        skips.append(x)
    for stage in range(stages - 1):
        up = graph.up(x, f"decoder.transpconvs.{stage}")
        x = graph.add("Concat", [up, skips[stages - 2 - stage]], axis=1)
        x = graph.block(x, f"decoder.stages.{stage}.convs.0", 1)
        x = graph.block(x, f"decoder.stages.{stage}.convs.1", 1)
    x = graph.conv(x, f"decoder.seg_layers.{stages - 2}", 1, 0)
    given = [onnx.numpy_helper.from_array(numpy.ascontiguousarray(v), k) for k, v in tensors.items()]
    made = helper.make_model(helper.make_graph(
        graph.nodes, "unet",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, *about["window"]])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)], given),
        opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    return made.SerializeToString()


def main():
    about, tensors = read(sys.argv[1])
    count = math.prod(about["window"])
    x = ((numpy.arange(count) * 31 % 1009).astype(numpy.float32) / numpy.float32(504.5) - numpy.float32(1.0))
    x = x.reshape(1, 1, *about["window"])
    threads = os.cpu_count()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model(about, tensors), options, providers=["CPUExecutionProvider"])
    logits = session.run(None, {"x": x})[0].ravel()
    picked = logits[::len(logits) // COMPARED][:COMPARED].tolist()
    del logits
    shortest = float("inf")
    for _ in range(RUNS):
        start = time.perf_counter()
        session.run(None, {"x": x})
        shortest = min(shortest, time.perf_counter() - start)
    print(json.dumps({
        "window_s": shortest, "logits": picked, "onnxruntime": onnxruntime.__version__, "threads": threads}))


main()
