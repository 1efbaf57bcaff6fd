"""Writes ONNX networks with inputs and outputs that others computed, for `./tests/bench onnx FOLDER`.

    python3 tests/onnx/cases.py FOLDER [nodes] [torch] [folder PATH]

nodes   the ONNX project's own node tests, of the package `onnx`; inputs and outputs are theirs
torch   small networks through both exporters of PyTorch; outputs are ONNX Runtime's (packages torch, onnxscript, onnxruntime)
folder  the NAME.onnx of a folder beside NAME.npz with `x` and `y`

A network that is read has one input of 32-bit floats. Further inputs of a case become weights; where the first one is of another
type, all become weights and an input that nothing reads takes its place. Outputs of other types are cast to floats.
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write(folder, name, model, inputs, outputs):
    """Writes one case; returns whether it could be expressed."""
    graph = model.graph
    arrays = [*inputs, *outputs]
    if not all(isinstance(x, np.ndarray) and x.dtype.kind in "fiub" for x in arrays):
        return False
    weights = {tensor.name for tensor in graph.initializer}
    given = [value for value in graph.input if value.name not in weights]
    if len(inputs) != len(given):
        return False
    first = bool(inputs) and inputs[0].dtype == np.float32 and inputs[0].ndim >= 2
    x = inputs[0] if first else np.zeros((1, 1), np.float32)
    del graph.input[:]
    for at, (value, array) in enumerate(zip(given, inputs)):
        if first and at == 0:
            graph.input.append(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, list(array.shape)))
        else:
            graph.initializer.append(numpy_helper.from_array(array, value.name))
    if not first:
        graph.input.append(helper.make_tensor_value_info("nothing_reads_this", TensorProto.FLOAT, [1, 1]))
    if len(outputs) != len(graph.output):
        return False
    names = []
    for at, (value, array) in enumerate(zip(graph.output, outputs)):
        names.append(value.name)
        if array.dtype != np.float32:
            graph.node.append(helper.make_node("Cast", [value.name], [f"as_float_{at}"], to=TensorProto.FLOAT))
            names[-1] = f"as_float_{at}"
    del graph.output[:]
    for output in names:
        graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    path = folder / name
    path.mkdir(parents=True)
    onnx.save(model, path / "net.onnx")
    np.save(path / "x.npy", x)
    if any(array.dtype.itemsize == 2 and array.dtype.kind == "f" for array in arrays):
        (path / "halves").touch()
    for at, array in enumerate(outputs):
        np.save(path / f"y{at}.npy", array.astype(np.float32))
    return True


def nodes(folder):
    from onnx.backend.test.case.node import collect_testcases

    left = 0
    for case in collect_testcases(None):
        for inputs, outputs in case.data_sets:
            model = onnx.ModelProto()
            model.CopyFrom(case.model)
            try:
                left += not write(folder, "nodes_" + case.name, model, list(inputs), list(outputs))
            except (FileExistsError, ValueError, TypeError):
                left += 1
    print(f"{left} node tests have inputs or outputs that are no numbers, or no fixed number of them")


def torch_networks(folder):
    import onnxruntime
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Take(nn.Module):
        def __init__(self, inner, pick):
            super().__init__()
            self.inner, self.pick = inner, pick

        def forward(self, x):
            return self.pick(self.inner(x))

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(16, 4, batch_first=True)

        def forward(self, x):
            return self.inner(x, x, x)[0]

    class Shuffle(nn.Module):
        def forward(self, x):
            n, c, h, w = x.shape
            return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)

    class Function(nn.Module):
        def __init__(self, f):
            super().__init__()
            self.f = f

        def forward(self, x):
            return self.f(x)

    image, series, row, steps = (4, 8, 12, 10), (4, 8, 24), (4, 16), (4, 12, 16)
    f = nn.functional
    nets = {
        "mlp": (nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5)), row),
        "conv": (nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU6(), nn.Flatten(), nn.Linear(480, 4)), image),
        "dwconv": (nn.Sequential(nn.Conv2d(8, 8, 3, 1, 2, 2, 8), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), image),
        "conv1d": (nn.Sequential(nn.Conv1d(8, 6, 5, 2, 3, 2), nn.GELU(), nn.MaxPool1d(3, 2, 1)), series),
        "conv3d": (nn.Sequential(nn.Unflatten(1, (2, 4)), nn.Conv3d(2, 3, (2, 3, 3), 1, (0, 1, 1))), image),
        "convt": (nn.ConvTranspose2d(8, 4, 3, 2, 1, 1), image),
        "convt_groups": (nn.ConvTranspose2d(8, 4, 4, 2, 1, groups=2), image),
        "convt1d": (nn.ConvTranspose1d(8, 4, 5, 3, 1, 1, dilation=2), series),
        "maxpool_dilated": (nn.MaxPool2d(3, 2, 1, dilation=2), image),
        "maxpool_ceil": (nn.MaxPool2d(3, 2, 0, ceil_mode=True), image),
        "avgpool_ceil": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), image),
        "avgpool_no_pad": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), image),
        "avgpool1d": (nn.AvgPool1d(4, 3, 2), series),
        "adaptive": (nn.AdaptiveAvgPool2d((3, 5)), image),
        "adaptive_max": (nn.AdaptiveMaxPool2d((4, 2)), image),
        "lppool": (nn.LPPool2d(2, 3, 2), image),
        "groupnorm": (nn.Sequential(nn.Conv2d(8, 12, 1), nn.GroupNorm(4, 12)), image),
        "instancenorm": (nn.InstanceNorm2d(8, affine=True), image),
        "layernorm": (nn.LayerNorm([12, 10]), image),
        "layernorm_row": (nn.LayerNorm(16), row),
        "rmsnorm": (nn.RMSNorm(16), row),
        "lrn": (nn.LocalResponseNorm(3), image),
        "softmax": (nn.Softmax(1), image),
        "logsoftmax": (nn.LogSoftmax(-1), row),
        "lstm": (Take(nn.LSTM(16, 10, batch_first=True), lambda y: y[0]), steps),
        "lstm_bi": (Take(nn.LSTM(16, 10, 2, batch_first=True, bidirectional=True), lambda y: y[0][:, -1]), steps),
        "gru": (Take(nn.GRU(16, 10, batch_first=True), lambda y: y[0]), steps),
        "gru_bi": (Take(nn.GRU(16, 6, batch_first=True, bidirectional=True), lambda y: y[0]), steps),
        "gru_state": (Take(nn.GRU(16, 6, batch_first=True), lambda y: y[1][0]), steps),
        "rnn_relu": (Take(nn.RNN(16, 10, nonlinearity="relu", batch_first=True), lambda y: y[0]), steps),
        "attention": (Attention(), steps),
        "encoder": (nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval(), steps),
        "shuffle": (Shuffle(), image),
        "pixelshuffle": (nn.PixelShuffle(2), image),
        "pixelunshuffle": (nn.PixelUnshuffle(2), image),
        "upsample_nearest": (nn.Upsample(scale_factor=2), image),
        "upsample_bilinear": (nn.Upsample(scale_factor=1.7, mode="bilinear"), image),
        "upsample_corners": (nn.Upsample(size=(17, 23), mode="bilinear", align_corners=True), image),
        "upsample_bicubic": (nn.Upsample(size=(20, 7), mode="bicubic"), image),
        "upsample_linear": (nn.Upsample(size=31, mode="linear"), series),
        "pad_reflect": (nn.ReflectionPad2d((1, 2, 3, 4)), image),
        "pad_replicate": (nn.ReplicationPad2d((1, 2, 3, 4)), image),
        "pad_zero": (nn.ZeroPad2d((1, 0, 2, 0)), image),
        "pad_circular": (nn.CircularPad2d((1, 2, 3, 4)), image),
        "conv_same": (nn.Conv2d(8, 4, 4, padding="same"), image),
        "conv_circular": (nn.Conv1d(8, 4, 3, padding=1, padding_mode="circular"), series),
        "slice": (Function(lambda x: x[:, 1:7:2, ::3, -4:]), image),
        "stack": (Function(lambda x: torch.stack([x[:, 0], x[:, 3] * 2], 1)), image),
        "where": (Function(lambda x: torch.where(x > 0, x, x * 0.3 - 1)), image),
        "clamp": (Function(lambda x: x.clamp(-0.4, 0.7).abs().sqrt()), image),
        "mean_std": (Function(lambda x: (x - x.mean((1, 2), True)) / x.std((1, 2), keepdim=True)), image),
        "norm": (Function(lambda x: f.normalize(x, dim=1)), row),
        "logsumexp": (Function(lambda x: x.logsumexp(-1)), image),
        "topk": (Function(lambda x: x.topk(3, -1)[0]), row),
        "cumsum": (Function(lambda x: x.cumsum(1)), row),
        "matmul": (Function(lambda x: x @ x.transpose(-1, -2)), image),
        "einsum": (Function(lambda x: torch.einsum("bcij,bdij->bcd", x, x)), image),
        "glu": (nn.GLU(1), image),
        "permute": (Function(lambda x: x.permute(0, 2, 3, 1).flatten(2)), image),
        "unfold": (nn.Unfold(3), image),
        "tril": (Function(lambda x: torch.tril(x)), image),
        "argmax": (Function(lambda x: x.argmax(1).float()), row),
        "bilinear_interp": (Function(lambda x: f.interpolate(x, (5, 4), mode="bilinear")), image),
        "remainder": (Function(lambda x: torch.fmod(x, 0.3)), row),
        "erf": (Function(lambda x: torch.erf(x) + torch.expm1(x) + torch.log1p(x.abs())), row),
    }
    activations = [
        nn.CELU(0.7), nn.ELU(0.6), nn.SELU(), nn.SiLU(), nn.Mish(), nn.Softplus(2.0, 5.0), nn.Softsign(), nn.Tanhshrink(),
        nn.Hardshrink(0.3), nn.Softshrink(0.2), nn.Hardsigmoid(), nn.Hardtanh(-0.5, 0.8), nn.LeakyReLU(0.2), nn.LogSigmoid(),
        nn.PReLU(8), nn.GELU("tanh"), nn.Threshold(0.2, -3.0), nn.Sigmoid(), nn.Tanh(), nn.RReLU(0.1, 0.3),
    ]
    for activation in activations:
        nets["act_" + type(activation).__name__.lower()] = (nn.Sequential(nn.Conv2d(8, 8, 1), activation), image)
    nets["act_gelu_tanh"] = (nn.GELU("tanh"), row)
    import tempfile
    import warnings

    warnings.filterwarnings("ignore")
    left = []
    for name, (net, shape) in nets.items():
        net = net.eval()
        for mode in ["ts", "dynamo"]:
            x = torch.randn(*shape)
            with tempfile.TemporaryDirectory() as place:
                file = pathlib.Path(place) / "net.onnx"
                try:
                    if mode == "ts":
                        axes = {"x": {0: "n"}}
                        torch.onnx.export(net, (x,), file, input_names=["x"], dynamic_axes=axes, opset_version=17, dynamo=False)
                    else:
                        torch.onnx.export(net, (x,), file, input_names=["x"], dynamo=True, external_data=False, verbose=False)
                    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
                    outputs = session.run(None, {"x": x.numpy()})
                    write(folder, f"torch-{mode}_{name}", onnx.load(file), [x.numpy()], outputs)
                except Exception as error:
                    left.append(f"{name} ({mode}): {str(error).splitlines()[0][:90] if str(error) else type(error).__name__}")
    print("\n".join(["PyTorch or ONNX Runtime do not take:"] + left))


def pairs(folder, source):
    for path in sorted(pathlib.Path(source).glob("*.onnx")):
        arrays = np.load(path.with_suffix(".npz"))
        write(folder, "cases_" + path.stem, onnx.load(path), [arrays["x"]], [arrays["y"]])


def main():
    words = sys.argv[1:]
    if not words or words[0].startswith("-"):
        sys.exit(__doc__)
    folder = pathlib.Path(words.pop(0))
    folder.mkdir(parents=True)
    while words:
        word = words.pop(0)
        if word == "nodes":
            nodes(folder)
        elif word == "torch":
            torch_networks(folder)
        elif word == "folder" and words:
            pairs(folder, words.pop(0))
        else:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
