/*
 * vrnic-rdma-client: connects to, or listens on, an RDMA port through Linux's rdma_cm, and prints each event as a line:
 *
 *   attempt=1 event=RDMA_CM_EVENT_REJECTED status=28 data_len=148 data=0102... elapsed_ms=12
 *
 * `status` is the event's: for a rejection the REJ's reason, otherwise 0 or a negative errno. `data` is the private data
 * that came with the event. Besides the events of rdma_cm there are the client's own: TIMEOUT (nothing came in time) and
 * GAVE_UP (--give-up-ms). A listener first prints `listening`. Errors go to standard error.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum exit_code { EXIT_ANSWERED = 0, EXIT_USAGE = 2, EXIT_LOCAL = 3, EXIT_NO_ANSWER = 4 };

/* The most private data that any CM message has room for: a REP's. */
#define MAX_DATA 196

static const char usage[] =
    "usage: vrnic-rdma-client connect ADDRESS PORT [OPTION]...\n"
    "       vrnic-rdma-client listen ADDRESS PORT (--reject | --accept) [OPTION]...\n"
    "ADDRESS is numeric, IPv4 or IPv6.\n"
    "\n"
    "  --count N         attempts, one after another; or requests to answer (1)\n"
    "  --data-hex HEX    private data to send\n"
    "  --data-len N      N bytes of private data: byte i is (seed + i) mod 256\n"
    "  --data-seed SEED  the seed for --data-len (0)\n"
    "  --timeout-ms MS   how long to wait for each event (30000)\n"
    "  --reconnect       connect: stop at the first attempt that is established\n"
    "  --give-up-ms MS   connect: abandon each attempt this long after its request\n"
    "\n"
    "Exit code: 0 every attempt or request was answered; 2 usage; 3 a call failed on this host (no RDMA device,\n"
    "no route, bad address); 4 no answer in time.\n";

struct options {
    bool listen, accept, reject, reconnect;
    struct sockaddr_storage address;
    unsigned count, timeout_ms;
    int give_up_ms; /* -1: never */
    uint8_t data[MAX_DATA];
    uint8_t data_len;
};

/* ---- Arguments ---- */

static void fail_usage(const char *what, const char *value)
{
    fprintf(stderr, "vrnic-rdma-client: %s%s%s\n%s", what, value ? ": " : "", value ? value : "", usage);
    exit(EXIT_USAGE);
}

static unsigned number(const char *text, unsigned max, const char *what)
{
    char *end;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value > max)
        fail_usage(what, text);
    return (unsigned)value;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static void hex_data(struct options *o, const char *hex)
{
    size_t length = strlen(hex);

    if (length % 2 || length / 2 > MAX_DATA)
        fail_usage("--data-hex takes an even number of digits, up to 392", hex);
    for (size_t i = 0; i < length / 2; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            fail_usage("not hexadecimal", hex);
        o->data[i] = (uint8_t)(high << 4 | low);
    }
    o->data_len = (uint8_t)(length / 2);
}

static void endpoint(struct options *o, const char *address, const char *port)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;

    number(port, 65535, "not a port");
    if (getaddrinfo(address, port, &hints, &found))
        fail_usage("not a numeric address", address);
    memcpy(&o->address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.count = 1, .timeout_ms = 30000, .give_up_ms = -1};
    unsigned seed = 0;
    int seeded_len = -1;

    if (argc < 4)
        fail_usage("too few arguments", NULL);
    if (!strcmp(argv[1], "listen"))
        o.listen = true;
    else if (strcmp(argv[1], "connect"))
        fail_usage("unknown command", argv[1]);
    endpoint(&o, argv[2], argv[3]);
    for (int i = 4; i < argc; i++) {
        const char *name = argv[i];
        if (!strcmp(name, "--accept")) {
            o.accept = true;
        } else if (!strcmp(name, "--reject")) {
            o.reject = true;
        } else if (!strcmp(name, "--reconnect")) {
            o.reconnect = true;
        } else if (i + 1 == argc) {
            fail_usage("unknown option, or one without its value", name);
        } else if (!strcmp(name, "--count")) {
            o.count = number(argv[++i], 1000000, "not a count");
        } else if (!strcmp(name, "--timeout-ms")) {
            o.timeout_ms = number(argv[++i], 3600000, "not a time in ms");
        } else if (!strcmp(name, "--give-up-ms")) {
            o.give_up_ms = (int)number(argv[++i], 3600000, "not a time in ms");
        } else if (!strcmp(name, "--data-hex")) {
            hex_data(&o, argv[++i]);
        } else if (!strcmp(name, "--data-len")) {
            seeded_len = (int)number(argv[++i], MAX_DATA, "not a length up to 196");
        } else if (!strcmp(name, "--data-seed")) {
            seed = number(argv[++i], 255, "not a seed up to 255");
        } else {
            fail_usage("unknown option", name);
        }
    }
    if (seeded_len >= 0) {
        for (int i = 0; i < seeded_len; i++)
            o.data[i] = (uint8_t)(seed + (unsigned)i);
        o.data_len = (uint8_t)seeded_len;
    }
    if (o.listen ? o.accept == o.reject || o.reconnect || o.give_up_ms >= 0 : o.accept || o.reject)
        fail_usage("these options do not go together", NULL);
    return o;
}

/* ---- Events ---- */

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void print_line(unsigned attempt, const char *event, int status, const uint8_t *data, unsigned length,
                       uint64_t since)
{
    printf("attempt=%u event=%s status=%d data_len=%u data=", attempt, event, status, length);
    for (unsigned i = 0; i < length; i++)
        printf("%02x", data[i]);
    printf(" elapsed_ms=%llu\n", (unsigned long long)(now_ms() - since));
    fflush(stdout);
}

static void print_event(unsigned attempt, const struct rdma_cm_event *event, uint64_t since)
{
    const struct rdma_conn_param *conn = &event->param.conn;

    print_line(attempt, rdma_event_str(event->event), event->status, conn->private_data,
               conn->private_data ? conn->private_data_len : 0, since);
}

static void fail_call(const char *call)
{
    fprintf(stderr, "vrnic-rdma-client: %s: %s\n", call, strerror(errno));
    exit(EXIT_LOCAL);
}

/* The next event, to be acknowledged by the caller, or NULL after `timeout_ms`. */
static struct rdma_cm_event *next_event(struct rdma_event_channel *channel, unsigned timeout_ms)
{
    struct pollfd fd = {.fd = channel->fd, .events = POLLIN};
    struct rdma_cm_event *event;
    int ready = poll(&fd, 1, (int)timeout_ms);

    if (ready < 0)
        fail_call("poll");
    if (!ready)
        return NULL;
    if (rdma_get_cm_event(channel, &event))
        fail_call("rdma_get_cm_event");
    return event;
}

static void create_qp(struct rdma_cm_id *id)
{
    struct ibv_qp_init_attr attr = {
        .cap = {.max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 1, .max_recv_sge = 1},
        .qp_type = IBV_QPT_RC,
    };

    if (rdma_create_qp(id, NULL, &attr))
        fail_call("rdma_create_qp");
}

static struct rdma_conn_param conn_param(const struct options *o)
{
    return (struct rdma_conn_param){
        .private_data = o->data_len ? o->data : NULL,
        .private_data_len = o->data_len,
        .responder_resources = 4,
        .initiator_depth = 4,
        .retry_count = 7,
        .rnr_retry_count = 7,
    };
}

/* ---- Connecting ---- */

enum outcome { ESTABLISHED, REFUSED, UNANSWERED };

/* Waits for the event that says an address or route is resolved. */
static void await_resolved(struct rdma_event_channel *channel, const struct options *o, enum rdma_cm_event_type wanted)
{
    struct rdma_cm_event *event = next_event(channel, o->timeout_ms);

    if (!event || event->event != wanted) {
        fprintf(stderr, "vrnic-rdma-client: wanted %s, got %s, status %d\n", rdma_event_str(wanted),
                event ? rdma_event_str(event->event) : "nothing in time", event ? event->status : 0);
        exit(EXIT_LOCAL);
    }
    rdma_ack_cm_event(event);
}

/* Waits for the answer to a request that was sent, and says what became of it. */
static enum outcome await_answer(struct rdma_cm_id *id, const struct options *o, unsigned attempt, uint64_t since)
{
    bool gives_up = o->give_up_ms >= 0;
    struct rdma_cm_event *event = next_event(id->channel, gives_up ? (unsigned)o->give_up_ms : o->timeout_ms);

    if (!event) {
        print_line(attempt, gives_up ? "GAVE_UP" : "TIMEOUT", 0, NULL, 0, since);
        return gives_up ? REFUSED : UNANSWERED;
    }
    bool established = event->event == RDMA_CM_EVENT_ESTABLISHED;
    print_event(attempt, event, since);
    rdma_ack_cm_event(event);
    if (!established)
        return REFUSED;
    if (rdma_disconnect(id))
        fail_call("rdma_disconnect");
    event = next_event(id->channel, o->timeout_ms);
    if (!event) {
        print_line(attempt, "TIMEOUT", 0, NULL, 0, since);
        return UNANSWERED;
    }
    print_event(attempt, event, since);
    rdma_ack_cm_event(event);
    return ESTABLISHED;
}

static enum outcome connect_once(struct rdma_event_channel *channel, struct options *o, unsigned attempt)
{
    struct rdma_cm_id *id;
    struct rdma_conn_param param = conn_param(o);

    if (rdma_create_id(channel, &id, NULL, RDMA_PS_TCP))
        fail_call("rdma_create_id");
    if (rdma_resolve_addr(id, NULL, (struct sockaddr *)&o->address, (int)o->timeout_ms))
        fail_call("rdma_resolve_addr");
    await_resolved(channel, o, RDMA_CM_EVENT_ADDR_RESOLVED);
    if (rdma_resolve_route(id, (int)o->timeout_ms))
        fail_call("rdma_resolve_route");
    await_resolved(channel, o, RDMA_CM_EVENT_ROUTE_RESOLVED);
    create_qp(id);
    uint64_t since = now_ms();
    if (rdma_connect(id, &param))
        fail_call("rdma_connect");
    enum outcome outcome = await_answer(id, o, attempt, since);
    rdma_destroy_qp(id);
    /* In the middle of a connection this makes the kernel tell the peer. */
    rdma_destroy_id(id);
    return outcome;
}

static int connect_all(struct rdma_event_channel *channel, struct options *o)
{
    int code = EXIT_ANSWERED;

    for (unsigned attempt = 1; attempt <= o->count; attempt++) {
        enum outcome outcome = connect_once(channel, o, attempt);
        if (outcome == UNANSWERED)
            code = EXIT_NO_ANSWER;
        if (outcome == ESTABLISHED && o->reconnect)
            break;
    }
    return code;
}

/* ---- Listening ---- */

/* What the listener knows of one request; its id's context. */
struct request {
    unsigned number;
    uint64_t since;
};

static void answer(struct rdma_cm_id *id, const struct options *o, unsigned number)
{
    struct request *request = malloc(sizeof *request);

    if (!request)
        fail_call("malloc");
    *request = (struct request){.number = number, .since = now_ms()};
    id->context = request;
    if (o->reject) {
        if (rdma_reject(id, o->data_len ? o->data : NULL, o->data_len))
            fail_call("rdma_reject");
        return;
    }
    struct rdma_conn_param param = conn_param(o);
    create_qp(id);
    if (rdma_accept(id, &param))
        fail_call("rdma_accept");
}

static void destroy(struct rdma_cm_id *id)
{
    if (id->qp)
        rdma_destroy_qp(id);
    free(id->context);
    rdma_destroy_id(id);
}

/* Answers requests until `count` of them have ended. */
static int listen_all(struct rdma_event_channel *channel, struct options *o)
{
    struct rdma_cm_id *listener;
    unsigned arrived = 0, ended = 0;

    if (rdma_create_id(channel, &listener, NULL, RDMA_PS_TCP))
        fail_call("rdma_create_id");
    if (rdma_bind_addr(listener, (struct sockaddr *)&o->address))
        fail_call("rdma_bind_addr");
    if (rdma_listen(listener, 64))
        fail_call("rdma_listen");
    puts("listening");
    fflush(stdout);
    while (ended < o->count) {
        struct rdma_cm_event *event = next_event(channel, o->timeout_ms);
        if (!event) {
            print_line(arrived + 1, "TIMEOUT", 0, NULL, 0, now_ms());
            return EXIT_NO_ANSWER;
        }
        struct rdma_cm_id *id = event->id;
        enum rdma_cm_event_type type = event->event;
        if (type == RDMA_CM_EVENT_CONNECT_REQUEST) {
            print_event(++arrived, event, now_ms());
            answer(id, o, arrived);
        } else {
            const struct request *request = id->context;
            print_event(request ? request->number : 0, event, request ? request->since : now_ms());
        }
        /* An id may be destroyed only after its events are acknowledged. */
        rdma_ack_cm_event(event);
        bool goes_on = type == RDMA_CM_EVENT_CONNECT_REQUEST ? o->accept : type == RDMA_CM_EVENT_ESTABLISHED;
        if (!goes_on && id != listener) {
            destroy(id);
            ended++;
        }
    }
    rdma_destroy_id(listener);
    return EXIT_ANSWERED;
}

int main(int argc, char **argv)
{
    struct options options = parse(argc, argv);
    struct rdma_event_channel *channel = rdma_create_event_channel();

    if (!channel)
        fail_call("rdma_create_event_channel (is there an RDMA device?)");
    int code = options.listen ? listen_all(channel, &options) : connect_all(channel, &options);
    rdma_destroy_event_channel(channel);
    return code;
}
