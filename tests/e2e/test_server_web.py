#!/usr/bin/env python3
"""The page and its websocket: what strangers get of it, and Chromium with Debian's spice-html5. TAP on stdout.

usage: test_server_web.py [PATH OF fake_server]
"""
import base64, hashlib, http.client, os, socket, ssl, sys, time

import fake
from viewer import Viewer, require, run_tests, wait_for

fake.PROGRAM = sys.argv[1] if len(sys.argv) > 1 else fake.PROGRAM
KEY = base64.b64encode(b'sixteen bytes...').decode()


def get(port, path, tls=None, **headers):
    """-> (status, headers, text)"""
    if tls:
        c = http.client.HTTPSConnection('localhost', port, timeout=10, context=ssl.create_default_context(cafile=tls))
    else:
        c = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    c.request('GET', path, headers={key.replace('_', '-'): value for key, value in headers.items()})
    r = c.getresponse()
    return r.status, r.headers, r.read().decode()


def upgrade(port, **headers):
    """-> (status, headers) of a websocket that is asked for"""
    asked = {'Host': '127.0.0.1:%d' % port, 'Upgrade': 'websocket', 'Connection': 'keep-alive, Upgrade',
             'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': KEY, 'Sec-WebSocket-Protocol': 'binary'}
    asked.update({key.replace('_', '-'): value for key, value in headers.items()})
    s = socket.create_connection(('127.0.0.1', port), 10)
    s.sendall(('GET /websockify HTTP/1.1\r\n%s\r\n' % ''.join('%s: %s\r\n' % h for h in asked.items())).encode())
    r = http.client.HTTPResponse(s)
    r.begin()
    s.close()
    return r.status, r.headers


def test_pages(work):
    """the page names the machine and leads to spice-html5; there is nothing else"""
    with fake.Server('--web') as server:
        status, headers, text = get(server.web_port, '/')
        require(status == 200 and '<h1>fake</h1>' in text and 'href="/spice_auto.html"' in text, 'start: %s' % text)
        for path, kind in ('/spice_auto.html', 'text/html'), ('/main.js', 'text/javascript'), ('/thirdparty/jsbn.js', 'text/javascript'):
            status, headers, text = get(server.web_port, path + '?title=x')
            with open('/usr/share/spice-html5' + path) as f:
                require(status == 200 and text == f.read() and headers['Content-Type'].startswith(kind), path)
        for path in '/nothing', '/../spice-html5/main.js', '/thirdparty/', '//etc/passwd', '/%2e%2e/main.js', '/main.js/':
            require(get(server.web_port, path)[0] == 404, '%s is there' % path)
        require(get(server.port, '/')[0] == 200, 'the other port has no pages')
    with fake.Server() as server:
        require(get(server.port, '/')[0] == 426, 'there are pages without --web')


def test_strangers(work):
    """pages of other sites open neither page nor websocket, nor does a name that is not this host's"""
    with fake.Server('--web') as server:
        own = '127.0.0.1:%d' % server.port
        good = [{}, {'Origin': 'http://' + own}, {'Host': 'localhost:1', 'Origin': 'http://localhost:1'}, {'Host': '[::1]:5'},
                {'Sec_WebSocket_Protocol': 'chat, binary'}]
        bad = [{'Origin': 'http://example.org'}, {'Origin': 'http://127.0.0.1:1'}, {'Origin': 'null'}, {'Origin': 'file://'},
               {'Host': 'example.org'}, {'Host': 'example.org', 'Origin': 'http://example.org'},
               {'Host': 'localhost.example.org'}]
        for headers in good:
            status, answer = upgrade(server.port, **headers)
            want = base64.b64encode(hashlib.sha1((KEY + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest()).decode()
            require(status == 101 and answer['Sec-WebSocket-Accept'] == want, '%s: %d' % (headers, status))
        for headers in bad:
            require(upgrade(server.port, **headers)[0] == 403, '%s: a websocket' % headers)
        require(get(server.web_port, '/', Host='example.org')[0] == 403, 'by another name: a page')
        require(upgrade(server.port, Sec_WebSocket_Protocol='chat')[0] == 400, 'another protocol: a websocket')
        require(upgrade(server.port, Sec_WebSocket_Version='8')[0] == 404, 'an old version: a websocket')


def chromium(work, url):
    return Viewer(work, '--no-sandbox', '--app=' + url, '--user-data-dir=' + os.path.join(work, 'profile'), '--no-first-run',
                  '--window-size=1000,800', '--window-position=0,0', '--ignore-certificate-errors', '--disable-gpu',
                  program='chromium')


EDGE = 8  # the page draws a frame with round corners over it


def place_of(v, picture):
    """Where the screen begins, by all of it but its edge."""
    width, height, rows = picture
    inner = b''.join(rows[(y * width + EDGE) * 3:((y + 1) * width - EDGE) * 3] for y in range(EDGE, height - EDGE))
    place = v.place_of((width - 2 * EDGE, height - 2 * EDGE, inner))
    return place and (place[0] - EDGE, place[1] - EDGE)


def wait_for_screen(v, picture, password):
    """-> where it is. The page asks for a password when the first try, without one, has failed; that may take a while."""
    def look():
        if password:
            v.xdotool('type', password)
            v.xdotool('key', 'Return')
        end = time.monotonic() + 5
        place = place_of(v, picture)
        while not place and time.monotonic() < end:
            time.sleep(0.5)
            place = place_of(v, picture)
        return place

    return wait_for('first picture', look, 90)


def check_browser(work, server, url, password=None):
    server.command('draw mixed')
    server.command('tablet 1')
    with chromium(work, url + 'spice_auto.html') as v:
        wait_for('window', v.windows)
        v.xdotool('mousemove', '1390', '1090')  # Xvfb draws the pointer into its frame buffer
        x, y = wait_for_screen(v, server.picture(work), password)
        server.command('draw text')
        server.command('scroll 5')
        wait_for('scrolled text', lambda: place_of(v, server.picture(work)))
        v.xdotool('mousemove', str(x + 300), str(y + 200), 'click', '1')
        want = [str(300 * 32767 // 639), str(200 * 32767 // 479)]
        wait_for('position', lambda: want in [e[1:3] for e in server.events('position')])
        v.xdotool('key', 'b', 'Left')
        wait_for('keys', lambda: [e[0] for e in server.events('key')][-6:] == '30 b0 e0 4b e0 cb'.split())


def test_browser(work):
    """Chromium shows the display, types and points"""
    with fake.Server('--web', '--size', '640x480') as server:
        check_browser(work, server, 'http://127.0.0.1:%d/' % server.web_port)


def test_browser_resize(work):
    """the guest's screen follows the browser's window"""
    with fake.Server('--web', '--size', '640x480') as server:
        server.command('heads 1')
        server.command('draw mixed')
        with chromium(work, 'http://127.0.0.1:%d/spice_auto.html' % server.web_port) as v:
            wait_for('window', v.windows)
            v.xdotool('mousemove', '1390', '1090')
            wait_for('another size', lambda: server.picture(work)[:2] != (640, 480), 90)
            for width, height in (800, 600), (1100, 900):
                before = server.picture(work)[:2]
                v.resize_window(width, height)
                wait_for('the size after that', lambda: server.picture(work)[:2] != before)
                server.command('draw text')
                wait_for('picture of that size', lambda: place_of(v, server.picture(work)))


def test_browser_tls(work):
    """and by https, to which it is led, with the password that it asks for"""
    with fake.Server('--web', '--tls', '--size', '640x480', '--password', 'sesame', env={'XDG_DATA_HOME': work}) as server:
        ca = os.path.join(work, 'minivm', 'tls', 'ca-cert.pem')
        status, headers, _ = get(server.web_port, '/')
        require(status == 308 and headers['Location'] == 'https://127.0.0.1:%d/' % server.web_port, 'no way to https')
        require(get(server.web_port, '/', tls=ca)[0] == 200, 'no page by https')
        check_browser(work, server, 'http://127.0.0.1:%d/' % server.web_port, 'sesame')


run_tests([test_pages, test_strangers, test_browser, test_browser_resize, test_browser_tls],
          ('chromium', 'Xvfb', 'xdotool'))
