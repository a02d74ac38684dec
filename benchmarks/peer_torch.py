"""The same training in PyTorch, eager and channels_last, as a contestant of train_speed.py.

    python benchmarks/peer_torch.py mnist|image BATCH_SIZE

The layers and the schedule are those of model.py and training/step.py: D, then G twice, G's first
forward pass shared by D's update and G's first. Paddings are symmetric here; the work is the same.
"""

import sys

import torch
from rounds import serve
from torch import nn
from torch.nn import functional

Z_DIM = 100
CLASSES = 10


def main(architecture, batch_size):
    torch.manual_seed(0)
    pair = {
        "mnist": (MnistGenerator, MnistDiscriminator, (1, 28, 28), CLASSES),
        "image": (ImageGenerator, ImageDiscriminator, (3, 64, 64), 0),
    }[architecture]
    generator, discriminator = [
        network().to(memory_format=torch.channels_last) for network in pair[:2]
    ]
    optimizers = [
        torch.optim.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999))
        for network in (discriminator, generator)
    ]
    count = int(batch_size)

    def iterate():
        x = torch.rand(count, *pair[2]).contiguous(memory_format=torch.channels_last)
        y = functional.one_hot(torch.randint(CLASSES, (count,)), CLASSES)[:, : pair[3]].float()
        z = 2 * torch.rand(count, Z_DIM) - 1
        step(generator, discriminator, optimizers, x=x, y=y, z=z)

    serve(iterate)


def step(generator, discriminator, optimizers, *, x, y, z):
    """D once, then G twice on the same z and labels."""
    d_optimizer, g_optimizer = optimizers
    fakes = generator(z, y)
    d_loss = loss(discriminator(x, y), 1) + loss(discriminator(fakes.detach(), y), 0)
    update(d_optimizer, d_loss, discriminator)
    update(g_optimizer, loss(discriminator(fakes, y), 1), generator)
    update(g_optimizer, loss(discriminator(generator(z, y), y), 1), generator)


def loss(logits, target):
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def update(optimizer, value, network):
    gradients = torch.autograd.grad(value, list(network.parameters()))
    for parameter, gradient in zip(network.parameters(), gradients):
        parameter.grad = gradient
    optimizer.step()


def conv(channels, more):
    return nn.Conv2d(channels, more, 5, 2, 2)


def deconv(channels, fewer):
    return nn.ConvTranspose2d(channels, fewer, 5, 2, 2, output_padding=1)


def with_labels(x, y):
    """Labels [N, K] joined to a vector [N, C], or as planes to a picture [N, C, H, W]."""
    if x.dim() == 2:
        return torch.cat([x, y], 1)
    planes = y[:, :, None, None].expand(-1, -1, x.shape[2], x.shape[3])
    return torch.cat([x, planes], 1).contiguous(memory_format=torch.channels_last)


class MnistGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.h0, self.bn0 = nn.Linear(Z_DIM + CLASSES, 1024), nn.BatchNorm1d(1024)
        self.h1, self.bn1 = nn.Linear(1024 + CLASSES, 128 * 49), nn.BatchNorm1d(128 * 49)
        self.h2, self.bn2 = deconv(128 + CLASSES, 128), nn.BatchNorm2d(128)
        self.h3 = deconv(128 + CLASSES, 1)

    def forward(self, z, y):
        h = functional.relu(self.bn0(self.h0(with_labels(z, y))))
        h = functional.relu(self.bn1(self.h1(with_labels(h, y)))).view(-1, 128, 7, 7)
        h = functional.relu(self.bn2(self.h2(with_labels(h, y))))
        return torch.sigmoid(self.h3(with_labels(h, y)))


class MnistDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.h0 = conv(1 + CLASSES, 1 + CLASSES)
        self.h1, self.bn1 = conv(1 + 2 * CLASSES, 64 + CLASSES), nn.BatchNorm2d(64 + CLASSES)
        self.h2 = nn.Linear((64 + CLASSES) * 49 + CLASSES, 1024)
        self.bn2, self.h3 = nn.BatchNorm1d(1024), nn.Linear(1024 + CLASSES, 1)

    def forward(self, x, y):
        h = functional.leaky_relu(self.h0(with_labels(x, y)), 0.2)
        h = functional.leaky_relu(self.bn1(self.h1(with_labels(h, y))), 0.2)
        h = functional.leaky_relu(self.bn2(self.h2(with_labels(h.flatten(1), y))), 0.2)
        return self.h3(with_labels(h, y))


class ImageGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.h0, self.bn0 = nn.Linear(Z_DIM, 512 * 16), nn.BatchNorm2d(512)
        self.layers = nn.Sequential(
            *[
                layer
                for channels in (512, 256, 128)
                for layer in (
                    deconv(channels, channels // 2),
                    nn.BatchNorm2d(channels // 2),
                    nn.ReLU(),
                )
            ]
        )
        self.h4 = deconv(64, 3)

    def forward(self, z, y):
        h = self.h0(z).view(-1, 512, 4, 4).contiguous(memory_format=torch.channels_last)
        return torch.tanh(self.h4(self.layers(functional.relu(self.bn0(h)))))


class ImageDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.h0 = conv(3, 64)
        self.layers = nn.Sequential(
            *[
                layer
                for channels in (64, 128, 256)
                for layer in (
                    conv(channels, 2 * channels),
                    nn.BatchNorm2d(2 * channels),
                    nn.LeakyReLU(0.2),
                )
            ]
        )
        self.h4 = nn.Linear(512 * 16, 1)

    def forward(self, x, y):
        return self.h4(self.layers(functional.leaky_relu(self.h0(x), 0.2)).flatten(1))


if __name__ == "__main__":
    main(*sys.argv[1:])
