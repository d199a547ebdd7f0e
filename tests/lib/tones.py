"""Two tones, 440 Hz on the left and 1 kHz on the right, in 16-bit stereo samples: what of them is there, and where not."""
import array, math

LEFT, RIGHT, LEVEL = 440, 1000, 10000


def make(rate, seconds):
    """-> bytes"""
    frames = array.array('h')
    for i in range(int(rate * seconds)):
        for hertz in (LEFT, RIGHT):
            frames.append(round(LEVEL * math.sin(2 * math.pi * hertz * i / rate)))
    return frames.tobytes()


class Sound:
    def __init__(self, data, rate=48000):
        samples = array.array('h', data[:len(data) // 4 * 4])
        self.channels, self.rate = (samples[0::2], samples[1::2]), rate
        self.seconds = len(self.channels[0]) / rate
        self.waves = {}

    def wave(self, hertz, count):
        if (hertz, count) not in self.waves:
            angles = [2 * math.pi * hertz * i / self.rate for i in range(count)]
            self.waves[hertz, count] = [math.sin(a) for a in angles], [math.cos(a) for a in angles]
        return self.waves[hertz, count]

    def level(self, channel, hertz, at, seconds=0.1):
        """How much of this tone there is; LEVEL if it is all."""
        count, start = int(seconds * self.rate), int(at * self.rate)
        part = self.channels[channel][start:start + count]
        sums = [sum(map(float.__mul__, wave, map(float, part))) for wave in self.wave(hertz, count)]
        return 2 * math.hypot(*sums) / count

    def begin(self):
        """When the first sound is heard."""
        for i, (left, right) in enumerate(zip(*self.channels)):
            if abs(left) > LEVEL / 10 or abs(right) > LEVEL / 10:
                return i / self.rate
        return None

    def end(self):
        for i in range(len(self.channels[0]) - 1, -1, -1):
            if abs(self.channels[0][i]) > LEVEL / 10 or abs(self.channels[1][i]) > LEVEL / 10:
                return i / self.rate
        return None

    def loudest(self, start, end):
        return max(max(map(abs, channel[int(start * self.rate):int(end * self.rate)])) for channel in self.channels)

    def pitch(self, channel, start, end):
        """By its way through zero."""
        part = self.channels[channel][int(start * self.rate):int(end * self.rate)]
        ups = [i + part[i] / (part[i] - part[i + 1]) for i in range(len(part) - 1) if part[i] < 0 <= part[i + 1]]
        return (len(ups) - 1) * self.rate / (ups[-1] - ups[0])

    def holes(self, start, end, least=0.9, step=0.1):
        """Times at which a tone is not all there."""
        times = [start + n * step for n in range(int((end - start - 0.1) / step) + 1)]
        return [round(at, 2) for at in times
                if self.level(0, LEFT, at) < least * LEVEL or self.level(1, RIGHT, at) < least * LEVEL]

    def steps(self, start, end):
        """Times at which it bends as the tones do not: clicks."""
        most = 3 * LEVEL * (2 * math.pi * RIGHT / self.rate) ** 2
        x = self.channels[1]
        found = [i for i in range(int(start * self.rate) + 1, int(end * self.rate) - 1)
                 if abs(x[i + 1] - 2 * x[i] + x[i - 1]) > most]
        return sorted({round(i / self.rate, 2) for i in found})
