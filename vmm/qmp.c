#include "vmm/qmp.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/listener.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_CHUNK 4096
#define RESYNC     0xff /* never part of JSON: a client sends it to start anew */

struct client {
    struct qmp *qmp;
    int fd;
    uv_poll_t poll;
    LIST_ENTRY(client) link;
    bool negotiated;
    json_t *waiting_id; /* of the command that is answered later; json_null() if it had none. NULL: none */
    /* The command so far. */
    char input[QMP_MAX_COMMAND];
    size_t size;
    unsigned depth;
    bool in_string, escaped, skipping; /* skipping: too long, up to its end */
    struct writer output;
    size_t sent;
};

struct qmp {
    struct loop *loop;
    struct listener *listener;
    const struct qmp_command *commands;
    size_t command_count;
    void *opaque;
    LIST_HEAD(, client) clients;
    unsigned client_count;
};

/* --- output --- */

static void ready(uv_poll_t *poll, int status, int events);

static void free_client(uv_handle_t *handle)
{
    free(handle->data);
}

static void drop(struct client *c)
{
    LIST_REMOVE(c, link);
    c->qmp->client_count--;
    json_decref(c->waiting_id);
    writer_fini(&c->output);
    uv_close((uv_handle_t *)&c->poll, free_client);
    close(c->fd);
    c->fd = -1;
}

/* What the client takes now; the rest when it takes more. */
static void flush(struct client *c)
{
    ssize_t n = 0;

    while (c->sent < c->output.size &&
           (n = send(c->fd, c->output.data + c->sent, c->output.size - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
        c->sent += (size_t)n;
    if (c->sent == c->output.size) {
        writer_reset(&c->output);
        c->sent = 0;
    }
    /* A client that has gone is noticed by reading. */
    uv_poll_start(&c->poll, (c->waiting_id ? 0 : UV_READABLE) | (c->output.size ? UV_WRITABLE : 0), ready);
}

static int append(const char *text, size_t size, void *output)
{
    writer_bytes(output, text, size);
    return 0;
}

/* Steals the message. */
static void put(struct client *c, json_t *message)
{
    if (!message || c->output.bad) {
        json_decref(message);
        return;
    }
    json_dump_callback(message, append, &c->output, JSON_COMPACT);
    writer_bytes(&c->output, "\r\n", 2);
    json_decref(message);
    if (c->output.bad) {
        log_warn("--control: a client that does not read is dropped");
        shutdown(c->fd, SHUT_RDWR); /* which wakes ready() */
    } else {
        flush(c);
    }
}

/* --- answers --- */

static void answer_error(struct client *c, json_t *id, const char *class, const char *text)
{
    json_t *message = json_pack("{s:{s:s, s:s}}", "error", "class", class, "desc", text);

    if (id)
        json_object_set(message, "id", id);
    put(c, message);
}

/* Steals the result. */
static void answer(struct client *c, json_t *id, int err, json_t *result)
{
    json_t *message;

    if (err) {
        json_decref(result);
        answer_error(c, id, err == -ENODEV ? "DeviceNotFound" : "GenericError", fail_text());
        return;
    }
    message = json_pack("{s:o}", "return", result ? result : json_object());
    if (id)
        json_object_set(message, "id", id);
    put(c, message);
}

static json_t *version(void)
{
    /* The release of QEMU whose commands these are. */
    return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", 7, "minor", 2, "micro", 0, "package", "minivm");
}

static void greet(struct client *c)
{
    put(c, json_pack("{s:{s:o, s:[]}}", "QMP", "version", version(), "capabilities"));
}

/* --- arguments --- */

static const char *type_name(char type)
{
    return type == 's' ? "string" : type == 'i' ? "integer" : type == 'b' ? "boolean" : "object";
}

static bool has_type(const json_t *value, char type)
{
    return type == 's'   ? json_is_string(value)
           : type == 'i' ? json_is_integer(value)
           : type == 'b' ? json_is_boolean(value)
                         : json_is_object(value);
}

/* Steps to the next of "name:type" in the list; false at its end. */
static bool next_argument(const char **list, char *name, size_t size, char *type, bool *optional)
{
    const char *p = *list + strspn(*list, " ");
    size_t n = strcspn(p, ":");

    if (!*p || n >= size)
        return false;
    memcpy(name, p, n);
    name[n] = 0;
    *type = p[n + 1];
    *optional = p[n + 2] == '?';
    *list = p + n + 2 + *optional;
    return true;
}

int qmp_check_arguments(const char *arguments_list, const json_t *arguments)
{
    const char *list = arguments_list;
    size_t known = 0;
    char name[64], type;
    bool optional;
    const char *key;
    json_t *value;

    while (next_argument(&list, name, sizeof(name), &type, &optional)) {
        value = json_object_get(arguments, name);
        known += value != NULL;
        if (!value && !optional)
            return fail(-EINVAL, "Parameter '%s' is missing", name);
        if (value && !has_type(value, type))
            return fail(-EINVAL, "Invalid parameter type for '%s', expected: %s", name, type_name(type));
    }
    if (json_object_size(arguments) == known)
        return 0;
    json_object_foreach((json_t *)arguments, key, value) {
        list = arguments_list;
        while (next_argument(&list, name, sizeof(name), &type, &optional) && strcmp(name, key) != 0)
            name[0] = 0;
        if (strcmp(name, key) != 0)
            return fail(-EINVAL, "Parameter '%s' is unexpected", key);
    }
    return 0;
}

/* --- commands --- */

static json_t *list_commands(const struct qmp *qmp)
{
    static const char *const own[] = {"qmp_capabilities", "query-commands", "query-version"};
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < ARRAY_SIZE(own); i++)
        json_array_append_new(list, json_pack("{s:s}", "name", own[i]));
    for (i = 0; i < qmp->command_count; i++)
        json_array_append_new(list, json_pack("{s:s}", "name", qmp->commands[i].name));
    return list;
}

static void run_listed(struct client *c, const struct qmp_command *command, const json_t *arguments, json_t *id)
{
    json_t *result = NULL;
    int err = qmp_check_arguments(command->arguments, arguments);

    if (!err)
        err = command->run(c->qmp->opaque, arguments, &result);
    if (err == QMP_LATER)
        c->waiting_id = id ? json_incref(id) : json_null();
    else
        answer(c, id, err, result);
}

static void run_named(struct client *c, const char *name, const json_t *arguments, json_t *id)
{
    char text[128];
    size_t i;

    if (!c->negotiated) {
        c->negotiated = strcmp(name, "qmp_capabilities") == 0;
        if (c->negotiated)
            answer(c, id, 0, NULL);
        else
            answer_error(c, id, "CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'");
        return;
    }
    for (i = 0; i < c->qmp->command_count; i++)
        if (strcmp(name, c->qmp->commands[i].name) == 0) {
            run_listed(c, &c->qmp->commands[i], arguments, id);
            return;
        }
    if (strcmp(name, "query-version") == 0) {
        answer(c, id, qmp_check_arguments("", arguments), version());
    } else if (strcmp(name, "query-commands") == 0) {
        answer(c, id, qmp_check_arguments("", arguments), list_commands(c->qmp));
    } else {
        snprintf(text, sizeof(text), "The command %.60s has not been found", name);
        answer_error(c, id, "CommandNotFound", text);
    }
}

/* An object has arrived whole. */
static void take_command(struct client *c, const char *data, size_t size)
{
    json_error_t where;
    json_t *command = json_loadb(data, size, JSON_REJECT_DUPLICATES, &where);
    json_t *id = json_object_get(command, "id");
    json_t *arguments = json_object_get(command, "arguments");
    const char *name = json_string_value(json_object_get(command, "execute"));

    if (!json_is_object(command))
        answer_error(c, NULL, "GenericError", "JSON parse error");
    else if (!name)
        answer_error(c, id, "GenericError", "QMP input lacks member 'execute'");
    else if (arguments && !json_is_object(arguments))
        answer_error(c, id, "GenericError", "QMP input member 'arguments' must be an object");
    else
        run_named(c, name, arguments, id);
    json_decref(command);
}

/* --- input --- */

static void start_anew(struct client *c)
{
    c->size = 0;
    c->depth = 0;
    c->in_string = c->escaped = c->skipping = false;
}

/* Follows strings and brackets; true at the end of an object. */
static bool ends_object(struct client *c, char byte)
{
    if (c->escaped) {
        c->escaped = false;
    } else if (c->in_string) {
        c->escaped = byte == '\\';
        c->in_string = byte != '"';
    } else if (byte == '"') {
        c->in_string = true;
    } else if (byte == '{' || byte == '[') {
        c->depth++;
    } else if ((byte == '}' || byte == ']') && c->depth && --c->depth == 0) {
        return true;
    }
    return false;
}

static void take_byte(struct client *c, char byte)
{
    if ((uint8_t)byte == RESYNC) {
        start_anew(c);
        return;
    }
    if (!c->depth && !c->skipping && isspace((unsigned char)byte))
        return;
    if (!c->depth && byte != '{' && byte != '[') {
        if (!c->skipping)
            answer_error(c, NULL, "GenericError", "JSON parse error, expecting an object");
        c->skipping = byte != '\n';
        return;
    }
    c->skipping = false;
    if (c->size < sizeof(c->input))
        c->input[c->size++] = byte;
    if (!ends_object(c, byte))
        return;
    if (c->size < sizeof(c->input))
        take_command(c, c->input, c->size);
    else
        answer_error(c, NULL, "GenericError", "JSON parse error, the command is too long");
    start_anew(c);
}

/* False: there is nothing more. */
static bool read_some(struct client *c)
{
    char data[READ_CHUNK];
    ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT), i;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    for (i = 0; i < n && !c->output.bad && !c->waiting_id; i++)
        take_byte(c, data[i]);
    return n > 0;
}

static void ready(uv_poll_t *poll, int status, int events)
{
    struct client *c = poll->data;
    bool there = status == 0;

    if (there && (events & UV_WRITABLE))
        flush(c);
    if (there && (events & UV_READABLE))
        there = read_some(c);
    if (!there || c->output.bad)
        drop(c);
    else
        flush(c);
}

/* --- clients --- */

void qmp_accept(struct qmp *qmp, int fd)
{
    struct client *c = qmp->client_count < QMP_MAX_CLIENTS ? calloc(1, sizeof(*c)) : NULL;

    if (!c || uv_poll_init(&qmp->loop->uv, &c->poll, fd)) {
        free(c);
        close(fd);
        return;
    }
    c->qmp = qmp;
    c->fd = fd;
    c->poll.data = c;
    writer_init(&c->output, QMP_MAX_OUTPUT);
    LIST_INSERT_HEAD(&qmp->clients, c, link);
    qmp->client_count++;
    greet(c);
}

static void on_connection(void *opaque, int fd, const char *peer UNUSED)
{
    qmp_accept(opaque, fd);
}

void qmp_answer(struct qmp *qmp, int err)
{
    struct client *c, *next;

    for (c = LIST_FIRST(&qmp->clients); c; c = next) {
        json_t *id = c->waiting_id;

        next = LIST_NEXT(c, link);
        if (!id)
            continue;
        c->waiting_id = NULL;
        answer(c, json_is_null(id) ? NULL : id, err, NULL);
        json_decref(id);
    }
}

void qmp_event(struct qmp *qmp, const char *name, json_t *data)
{
    struct timespec now;
    json_t *event;
    struct client *c;

    if (!qmp) {
        json_decref(data);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    event = json_pack("{s:{s:I, s:I}, s:s}", "timestamp", "seconds", (json_int_t)now.tv_sec, "microseconds",
                      (json_int_t)(now.tv_nsec / 1000), "event", name);
    if (data)
        json_object_set_new(event, "data", data);
    LIST_FOREACH(c, &qmp->clients, link)
        if (c->negotiated)
            put(c, json_incref(event));
    json_decref(event);
}

int qmp_create(struct qmp **created, struct loop *loop, const char *path, const struct qmp_command *commands,
               size_t count, void *opaque)
{
    struct qmp *qmp = calloc(1, sizeof(*qmp));
    int err = 0;

    if (!qmp)
        return -ENOMEM;
    qmp->loop = loop;
    qmp->commands = commands;
    qmp->command_count = count;
    qmp->opaque = opaque;
    LIST_INIT(&qmp->clients);
    if (path)
        err = listener_create_unix(&qmp->listener, loop, "--control", path, on_connection, qmp);
    if (err)
        free(qmp);
    else
        *created = qmp;
    return err;
}

void qmp_destroy(struct qmp *qmp)
{
    if (!qmp)
        return;
    listener_destroy(qmp->listener);
    while (!LIST_EMPTY(&qmp->clients))
        drop(LIST_FIRST(&qmp->clients));
    free(qmp);
}
