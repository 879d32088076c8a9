/* The messages of the two roles, and what they say in private data. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#define WISH_REJECT   "pingpong: reject me"
#define WISH_ACCEPT   "pingpong: accept me"
#define ANSWER_REJECT "pingpong: as you wish"
#define ANSWER_ACCEPT "pingpong: welcome"
#define ANSWER_NO     "pingpong: changed my mind"

typedef enum _MESSAGE_TYPE {
    MessageEcho = 1,          /* send it back */
    MessageRegion,            /* register Length bytes, filled with Seed; the answer has address and token */
    MessageWritten,           /* the region should be filled with Seed now */
    MessageReleased,          /* the region's token was invalidated, by this message or before */
    MessageBye                /* disconnect */
} MESSAGE_TYPE;

typedef struct _MESSAGE {
    ULONG Type;
    ULONG Length;
    ULONG Seed;
    NTSTATUS Status;
    UINT64 Address;
    UINT32 Token;
} MESSAGE;

#endif
