#!/usr/bin/env python3
"""A film of 30 frames a second through our server as a stream, seen by spice-gtk and by our client at once.

spice-gtk's viewer counts frames and compares their colours with what was drawn; that their number comes through says that no part
of a frame is ahead of the others. In the end both must have every pixel. Of part30 most frames change a third of the picture alone,
and with MJPEG are sent as that. A spice-gtk that knows of H.264, but cannot show it, gets the next codec. Prints TAP.
"""
import json, os, subprocess, sys

PROGRAMS = 'build/tests/display/'
PATIENCE = 120
FILMS = [  # what is played, codecs, what spice-gtk's GStreamer is told
    ('video30', 'mjpeg', {}),
    ('video30', 'vp8', {}),
    ('video30', 'h264', {}),
    ('video30', 'h264,vp8', {'GST_PLUGIN_FEATURE_RANK': 'h264parse:NONE'}),
    ('part30', 'mjpeg', {}),
]
LEAST_FRAMES = 150    # of 300; the computer may be busy
PSNR = (34, 60)       # right colours, but not exact: it was a stream
MOST_BYTES = 30000000 # exactly it would be 82 million


def start(program, *args, quiet=False, **environment):
    return subprocess.Popen([PROGRAMS + program, *args], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.DEVNULL if quiet else None, env=dict(os.environ, **environment))


def film(work, codecs, environment):
    """What is wrong, or None."""
    scene = ['--work', work, '--pace', 'time']
    processes = [start('ours', '--stay', '--streaming', 'filter', '--codecs', codecs, *scene)]
    try:
        port = ['--port', processes[0].stdout.readline().split()[1]]
        processes.append(start('viewer', *port, *scene))
        processes[1].stdout.readline()
        processes.append(start('client', *port, *scene, quiet=environment, **environment))
        seen = json.loads(processes[2].communicate(timeout=PATIENCE)[0])
        if seen['differing']:
            return 'spice-gtk: %d pixels are wrong in the end' % seen['differing']
        if processes[1].wait(timeout=PATIENCE):
            return 'our client: not all pixels are right in the end'
    finally:
        for process in processes:
            process.kill()
            process.wait()
    print('# %s, %s: %d frames, %.1f dB, %d bytes' % (work, codecs, seen['frames'], seen['psnr'], seen['display_bytes']))
    if seen['frames'] < LEAST_FRAMES or not PSNR[0] < seen['psnr'] < PSNR[1] or seen['display_bytes'] > MOST_BYTES:
        return 'that is no good stream'
    return None


def main():
    failed = 0
    print('1..%d' % len(FILMS))
    for i, (work, codecs, environment) in enumerate(FILMS, 1):
        wrong = film(work, codecs, environment)
        failed += wrong is not None
        print('%s %d - %s, %s%s' % ('not ok' if wrong else 'ok', i, work, codecs, '\n# ' + wrong if wrong else ''), flush=True)
    sys.exit(failed > 0)


main()
