"""The noise of scorelab, written again from its description: Philox 4x32-10 (Salmon et al. 2011), key = hash(seed, path), counter =
(element / 4, draw, sample), normals by Box and Muller from two words each pair."""
import numpy as np

MASK = (1 << 64) - 1


def philox(counter, key):
    """counter: four arrays of uint32; key: two numbers. Four arrays of words."""
    c = [np.asarray(x, dtype=np.uint64) for x in counter]
    k0, k1 = key
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> shift) ^ c[1] ^ np.uint64(k0), b & low, (a >> shift) ^ c[3] ^ np.uint64(k1), a & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def key_of(seed, path):
    h = 0xCBF29CE484222325 ^ mix((seed + 0x9E3779B97F4A7C15) & MASK)
    for byte in path.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return mix(h)


class Noise:
    """Rows are the samples first, first + 1, ..; each call is the next draw."""

    def __init__(self, seed, path, first=0):
        self.key, self.seed, self.path, self.first, self.draws = key_of(seed, path), seed, path, first, 0

    def stream(self, name, index=0):
        return Noise(self.seed, f"{self.path}/{name}#{index}", self.first)

    def units(self, shape):
        rows, width = shape[0], int(np.prod(shape[1:], dtype=int))
        quads = (width + 3) // 4
        sample = np.repeat(np.arange(self.first, self.first + rows, dtype=np.uint64), quads)
        quad = np.tile(np.arange(quads, dtype=np.uint64), rows)
        words = philox([quad, np.full_like(quad, self.draws), sample & np.uint64(0xFFFFFFFF), sample >> np.uint64(32)], (self.key & 0xFFFFFFFF, self.key >> 32))
        self.draws += 1
        return np.stack([(w.astype(np.float64) + 0.5) / 2.0**32 for w in words], -1), rows, width, shape

    def uniform(self, *shape):
        u, rows, width, shape = self.units(shape)
        return u.reshape(rows, -1)[:, :width].reshape(shape)

    def normal(self, *shape):
        u, rows, width, shape = self.units(shape)
        z = np.empty_like(u)
        for pair in (0, 2):
            radius, angle = np.sqrt(-2 * np.log(u[:, pair])), 2 * np.pi * u[:, pair + 1]
            z[:, pair], z[:, pair + 1] = radius * np.cos(angle), radius * np.sin(angle)
        return z.reshape(rows, -1)[:, :width].reshape(shape)
