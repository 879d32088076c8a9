/* NDK by way of WSK. Names and layouts are those of Microsoft's wskndk.h. */
#ifndef _WSKNDK_H_
#define _WSKNDK_H_

#include "ndkpi.h"
#include "wsk.h"

/* Opens the NDK adapter of an interface. PASSIVE_LEVEL */
typedef NTSTATUS (WSKAPI *PFN_WSK_NDK_OPEN_ADAPTER)(
    PWSK_CLIENT Client, NDK_VERSION NdkVersion, NET_IFINDEX IfIndex, NDK_ADAPTER **ppNdkAdapter);

/* Closes an NDK adapter: returns when everything below it is closed. PASSIVE_LEVEL */
typedef VOID (WSKAPI *PFN_WSK_NDK_CLOSE_ADAPTER)(PWSK_CLIENT Client, NDK_ADAPTER *pNdkAdapter);

/* What the control code below returns; the output size is that of this structure. */
typedef struct _WSK_PROVIDER_NDK_DISPATCH {
    PFN_WSK_NDK_OPEN_ADAPTER WskOpenNdkAdapter;
    PFN_WSK_NDK_CLOSE_ADAPTER WskCloseNdkAdapter;
} WSK_PROVIDER_NDK_DISPATCH, *PWSK_PROVIDER_NDK_DISPATCH;

#define WSKNDK_GET_WSK_PROVIDER_NDK_DISPATCH ((ULONG)'NDKD')

#endif
