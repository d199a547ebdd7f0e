#!/usr/bin/env python3
"""minivm-agentd and minivm-agent as the guest of libspice-server, used through spice-gtk. TAP.

usage: tests/e2e/test_agent.py [NAME...]
"""
import os, random, sys, time

from agent_rig import BMP, CLIPBOARD, PNG, PRIMARY, TEXT, Rig
from viewer import Failed, require, run_tests, wait_for

SIZES = [1, 100, 2047, 2048, 65536, 300000, 1 << 20]


def text_of(size):
    """So many bytes of UTF-8, some of them longer than others."""
    data = ''.join(random.Random(size).choices('abc \näöü€語', k=size)).encode()[:size]
    return data.decode(errors='ignore').encode().ljust(size, b'.')


def picture(size):
    return b'\x89PNG\r\n\x1a\n' + random.Random(7).randbytes(size)


def test_guest_to_user(folder):
    """what is copied in the guest is pasted by the user: texts of 1 byte to 1 MiB, pictures, both selections"""
    with Rig(folder) as rig:
        for selection in CLIPBOARD, PRIMARY:
            for size in SIZES:
                data = text_of(size)
                rig.copy(selection, data)
                require(TEXT in rig.user.wait('GRAB ' + selection).split()[2:], 'no text is offered')
                pasted = os.path.join(folder, 'pasted')
                rig.user.tell('ask', selection, TEXT, pasted)
                rig.user.wait('CONTENT %s %s %d' % (selection, TEXT, size))
                with open(pasted, 'rb') as f:
                    require(f.read() == data, 'a text of %d bytes has changed' % size)
        for kind, target in (PNG, 'image/png'), (BMP, 'image/bmp'):
            data = picture(3 << 20)
            rig.copy(CLIPBOARD, data, '-t', target)
            rig.user.wait('GRAB %s %s' % (CLIPBOARD, kind))
            rig.user.tell('ask', CLIPBOARD, kind, pasted)
            rig.user.wait('CONTENT %s %s %d' % (CLIPBOARD, kind, len(data)))
            with open(pasted, 'rb') as f:
                require(f.read() == data, 'a picture has changed')


def test_user_to_guest(folder):
    """what the user has copied is pasted in the guest: texts of 1 byte to 1 MiB, pictures, both selections"""
    with Rig(folder) as rig:
        for selection in CLIPBOARD, PRIMARY:
            for size in SIZES:
                data = text_of(size)
                rig.user.tell('offer', selection, TEXT, rig.path('copied', data))
                wait_for('a text of %d bytes' % size, lambda: rig.paste(selection, '-t', 'UTF8_STRING') == data)
        data = picture(5 << 20)
        rig.user.tell('offer', CLIPBOARD, PNG, rig.path('picture', data))
        wait_for('a picture', lambda: rig.paste(CLIPBOARD, '-t', 'image/png') == data)
        require(b'image/png' in rig.paste(CLIPBOARD, '-t', 'TARGETS'), 'it is not offered as a picture')
        require(rig.paste(CLIPBOARD, '-t', 'UTF8_STRING') is None, 'a picture is no text')
        rig.user.tell('release', CLIPBOARD)
        wait_for('release', lambda: rig.paste(CLIPBOARD, '-t', 'TARGETS') is None)


run_tests([test for test in (test_guest_to_user, test_user_to_guest)
           if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]], ['Xvfb', 'xclip', 'xdpyinfo'])
