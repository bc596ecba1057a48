"""The part of llhttp's interface that the request head needs (llhttp.h)."""

from libc.stdint cimport uint8_t, uint16_t


cdef extern from "llhttp.h":
    ctypedef struct llhttp_t:
        uint8_t method
        uint8_t http_major
        uint8_t http_minor
        uint8_t upgrade
        uint16_t flags
        void* data

    ctypedef int (*llhttp_data_cb)(llhttp_t*, const char* at, size_t length) noexcept nogil
    ctypedef int (*llhttp_cb)(llhttp_t*) noexcept nogil

    ctypedef struct llhttp_settings_t:
        llhttp_data_cb on_url
        llhttp_data_cb on_header_field
        llhttp_data_cb on_header_value
        llhttp_cb on_headers_complete
        llhttp_cb on_message_complete

    ctypedef enum llhttp_type_t:
        HTTP_REQUEST

    ctypedef enum llhttp_errno_t:
        HPE_OK
        HPE_USER
        HPE_PAUSED
        HPE_PAUSED_H2_UPGRADE
        HPE_INVALID_METHOD
        HPE_INVALID_VERSION

    ctypedef enum llhttp_method_t:
        HTTP_GET
        HTTP_HEAD
        HTTP_CONNECT
        HTTP_OPTIONS
        HTTP_TRACE
        HTTP_DESCRIBE       # the first and the last one of those for RTSP
        HTTP_FLUSH
        HTTP_QUERY          # the last one

    ctypedef enum llhttp_flags_t:
        F_CONNECTION_KEEP_ALIVE
        F_CONNECTION_CLOSE
        F_CONNECTION_UPGRADE

    void llhttp_settings_init(llhttp_settings_t* settings) nogil
    void llhttp_init(llhttp_t* parser, llhttp_type_t kind, const llhttp_settings_t* settings) nogil
    llhttp_errno_t llhttp_execute(llhttp_t* parser, const char* data, size_t length) nogil
    const char* llhttp_get_error_pos(const llhttp_t* parser) nogil
    const char* llhttp_method_name(llhttp_method_t method) nogil
