"""One 3D convolution with bias by ONNX Runtime and by OpenVINO, in 32 bits, on all cores.

usage: conv3d.py IN OUT D H W KERNEL STRIDE DILATION
needs: numpy, onnx, onnxruntime, openvino
prints: {"onnxruntime_s", "openvino_s", "onnxruntime", "openvino", "threads"}, the best of several runs each
"""
import json
import os
import sys
import time

import numpy
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper

RUNS = 7
ENOUGH_S = 2.0


def model(inputs, outputs, size, kernel, stride, dilation):
    generator = numpy.random.default_rng(1)
    weight = generator.standard_normal((outputs, inputs, kernel, kernel, kernel)).astype(numpy.float32) * 0.05
    bias = numpy.zeros(outputs, numpy.float32)
    pad = dilation * (kernel // 2)
    node = helper.make_node(
        "Conv", ["x", "w", "b"], ["y"], pads=[pad] * 6, strides=[stride] * 3, dilations=[dilation] * 3)
    given = [onnx.numpy_helper.from_array(weight, "w"), onnx.numpy_helper.from_array(bias, "b")]
    graph = helper.make_graph(
        [node], "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, inputs, *size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], given)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    return made.SerializeToString()


def best(run):
    run()
    shortest = float("inf")
    start = time.perf_counter()
    for _ in range(RUNS):
        before = time.perf_counter()
        run()
        shortest = min(shortest, time.perf_counter() - before)
        if time.perf_counter() - start > ENOUGH_S:
            break
    return shortest


def main():
    inputs, outputs, *size, kernel, stride, dilation = map(int, sys.argv[1:])
    text = model(inputs, outputs, size, kernel, stride, dilation)
    x = numpy.random.default_rng(2).standard_normal((1, inputs, *size)).astype(numpy.float32)
    threads = os.cpu_count()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(text, options, providers=["CPUExecutionProvider"])
    onnxruntime_s = best(lambda: session.run(None, {"x": x}))
    del session

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(text), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    openvino_s = best(lambda: request.infer({0: x}))

    print(json.dumps({
        "onnxruntime_s": onnxruntime_s, "openvino_s": openvino_s, "onnxruntime": onnxruntime.__version__,
        "openvino": openvino.__version__.split("-")[0], "threads": threads}))


main()
