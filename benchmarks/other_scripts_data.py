"""What published scripts read and a checkout does not hold: data sets, checkpoints, packages that give them.

Digits of scikit-learn stand for MNIST and CIFAR-10, crops of its photographs with a network's own answers
for the images of CrossSim's ResNets, random signals of two kinds for the EEG, sentences with one word that
decides for CoLA.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

ANSWERING: list[nn.Module] = []  # the digital network whose answers are the labels of crops
TRAINED, HELD_OUT = slice(0, 1_200), slice(1_500, None)


def digits(size: int, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The 1,797 digits as images from 0 to 1."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.tensor(found.images / 16, dtype=torch.float32)[:, None]
    images = nn.functional.interpolate(images, size=size, mode="bilinear")
    return images.expand(-1, channels, -1, -1).contiguous(), torch.tensor(found.target)


def crops(count: int = 64) -> torch.Tensor:
    """Squares of 32 pixels from two photographs."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    pictures = load_sample_images().images
    made = []
    for number in range(count):
        picture = pictures[number % 2]
        row, column = (rng.integers(0, side - 128) for side in picture.shape[:2])
        made.append(picture[row : row + 128 : 4, column : column + 128 : 4])
    return torch.tensor(np.stack(made) / 255, dtype=torch.float32).permute(0, 3, 1, 2).contiguous()


class Images(Dataset):
    """A data set of torchvision: an image, through a transform, and its label."""

    def __init__(self, root=None, train=True, download=False, transform=None) -> None:
        self.transform = transform or (lambda image: image)
        if ANSWERING:
            self.images = crops()
            with torch.no_grad():
                seen = torch.stack([self.transform(image) for image in self.images])
                self.labels = ANSWERING[0](seen).argmax(1)
        else:
            part = TRAINED if train else HELD_OUT
            self.images, self.labels = (x[part] for x in digits(*self.shape))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, at):
        return self.transform(self.images[at].clone()), int(self.labels[at])


class MNIST(Images):
    shape = (28, 1)


class CIFAR10(Images):
    shape = (32, 3)


class Compose:
    def __init__(self, steps) -> None:
        self.steps = steps

    def __call__(self, image):
        for step in self.steps:
            image = step(image)
        return image


class Normalize:
    def __init__(self, mean, std) -> None:
        self.mean, self.std = (torch.tensor(x).reshape(-1, 1, 1) for x in (mean, std))

    def __call__(self, image):
        return (image - self.mean) / self.std


class RandomCrop:
    def __init__(self, size, padding) -> None:
        self.size, self.padding = size, padding

    def __call__(self, image):
        wide = nn.functional.pad(image, [self.padding] * 4)
        row, column = (int(x) for x in torch.randint(2 * self.padding + 1, (2,)))
        return wide[:, row : row + self.size, column : column + self.size]


class Same:
    """Images are tensors already; digits are not mirrored."""

    def __call__(self, image):
        return image


def module(name: str, **content: object) -> ModuleType:
    """A module that can be imported from now on."""
    made = sys.modules[name] = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    vars(made).update(content)
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, made)
    return made


def torchvision() -> None:
    """Its data sets and the transforms that the scripts use."""
    module("torchvision")
    module("torchvision.datasets", MNIST=MNIST, CIFAR10=CIFAR10)
    module(
        "torchvision.transforms", Compose=Compose, ToTensor=Same, Normalize=Normalize, RandomCrop=RandomCrop,
        RandomHorizontalFlip=Same,
    )  # fmt: skip


def memtorch_data() -> None:
    """Digits where ``LoadMNIST`` and ``LoadCIFAR10`` read published files."""
    utils = importlib.import_module("mho.compat.memtorch.utils")

    def data(size: int, channels: int):
        images, labels = digits(size, channels)
        images = 2 * images - 1
        parts = (TRAINED, slice(1_200, 1_500), HELD_OUT)
        train, validation, test = (TensorDataset(images[part], labels[part]) for part in parts)
        return SimpleNamespace(
            load=lambda folder: SimpleNamespace(train=train, validation=validation, test=test)
        )

    utils.MNIST, utils.CIFAR10 = (lambda: data(28, 1)), (lambda: data(32, 3))


def answers_of_torch_resnet() -> None:
    """Labels are the answers of CrossSim's own ResNet-20, which its checkout holds."""
    build = importlib.import_module("build_resnet_cifar10")
    network = build.ResNet_cifar10(3)
    network.load_state_dict(torch.load("./models/resnet20_cifar10.pth", map_location="cpu"))
    ANSWERING.append(network.eval())


def answers_of_keras_resnet() -> None:
    """The same in Keras; its means are those of the training images, here of the crops."""
    import tensorflow as tf

    images = crops().permute(0, 2, 3, 1).numpy() * 255
    network = tf.keras.models.load_model("./models/resnet20v1_cifar10.h5", compile=False)
    shown = (images - images.mean(axis=0)) / 255
    labels = network.predict(shown, verbose=0).argmax(axis=1)[:, None]
    tf.keras.datasets.cifar10.load_data = lambda: ((images, labels), (images, labels))


def eeg() -> None:
    """``data.csv``: noise with more or less of a slow wave."""
    import pandas as pd

    rng = np.random.default_rng(0)
    label = rng.integers(1, 3, 400)
    wave = np.sin(np.arange(178) / 9 + rng.uniform(0, 6.28, (400, 1)))
    signal = rng.normal(size=(400, 178)) + 2.0 * (label == 1)[:, None] * wave
    frame = pd.DataFrame(signal, columns=[f"X{k}" for k in range(1, 179)])
    frame.insert(0, "id", range(400))
    frame["y"] = label
    frame.to_csv("data.csv", index=False)


def train(network: nn.Module) -> None:
    """A few epochs on digits in colour, in the place of a checkpoint that is downloaded."""
    loader = torch.utils.data.DataLoader(
        CIFAR10(transform=Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))), 64, shuffle=True
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    network.train()
    for _ in range(6):
        for images, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
    Path("Models").mkdir(exist_ok=True)
    torch.save(network.state_dict(), "Models/finetuned_model_0.9.1.th")


# --- Hugging Face: a tokenizer of words, a network of one layer, sentences ---------------------------


class Tokenizer:
    """Words by a table of eight; what a Trainer asks of a tokenizer."""

    words = ("<pad>", "good", "bad", "the", "film", "was", "very", "rather")
    pad_token_id, padding_side, model_input_names = 0, "right", ["input_ids", "attention_mask"]

    @classmethod
    def from_pretrained(cls, name, **more):
        return cls()

    def __call__(self, texts, truncation=True):
        rows = [[self.words.index(word) for word in text.split()] for text in texts]
        return {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}

    def save_pretrained(self, folder, **more):
        return ()

    def pad(self, features, padding=True, max_length=None, pad_to_multiple_of=None, return_tensors="pt"):
        longest = max(len(f["input_ids"]) for f in features)
        made = {}
        for key in features[0]:
            rows = [f[key] for f in features]
            if isinstance(rows[0], list):
                rows = [row + [0] * (longest - len(row)) for row in rows]
            made[key] = torch.tensor(rows)
        return made


class Sentences(list):
    """Rows of a data set of Hugging Face."""

    def map(self, function, batched=True, **more):
        made = function({"sentence": [row["sentence"] for row in self]})
        return Sentences(
            {"labels": row["label"], **{k: v[n] for k, v in made.items()}} for n, row in enumerate(self)
        )


def huggingface() -> None:
    """``datasets``, ``evaluate``, and what ``from_pretrained`` of transformers would download."""
    import transformers

    def sentences(count: int, seed: int) -> Sentences:
        rng = np.random.default_rng(seed)
        made = Sentences()
        for _ in range(count):
            label = int(rng.integers(2))
            filler = rng.choice(Tokenizer.words[3:], 5).tolist()
            filler.insert(int(rng.integers(6)), Tokenizer.words[2 - label])
            made.append({"sentence": " ".join(filler), "label": label})
        return made

    class Splits(dict):
        def map(self, function, **more):
            return Splits({name: rows.map(function, **more) for name, rows in self.items()})

    def matthews(predictions, references):
        from sklearn.metrics import matthews_corrcoef

        return {"matthews_correlation": float(matthews_corrcoef(references, predictions))}

    splits = Splits(train=sentences(320, 0), validation=sentences(100, 1))
    module("datasets", load_dataset=lambda *names: splits, Dataset=Splits, IterableDataset=Splits)
    module("evaluate", load=lambda *names: SimpleNamespace(compute=matthews))
    config = transformers.RobertaConfig(
        vocab_size=8, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        pad_token_id=0, max_position_embeddings=32,
    )  # fmt: skip

    network = transformers.RobertaForSequenceClassification

    def untrained(name, num_labels=2, **more):
        config.num_labels = num_labels
        torch.manual_seed(0)
        return network(config)

    network.from_pretrained = untrained
    transformers.RobertaTokenizer.from_pretrained = Tokenizer.from_pretrained
