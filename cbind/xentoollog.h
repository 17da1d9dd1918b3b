/* SPDX-License-Identifier: MIT */
/* libxentoollog: where the other libraries write what they have to say. SONAME 1 since Xen 4.7; in libxenctrl before. */

#define XTL_STDIOSTREAM_HIDE_PROGRESS 4

typedef enum xentoollog_level {
    XTL_NONE, XTL_DEBUG, XTL_VERBOSE, XTL_DETAIL, XTL_PROGRESS,
    XTL_INFO, XTL_NOTICE, XTL_WARN, XTL_ERROR, XTL_CRITICAL, XTL_NUM_LEVELS
} xentoollog_level;

typedef struct xentoollog_logger xentoollog_logger;
typedef struct xentoollog_logger_stdiostream xentoollog_logger_stdiostream;

xentoollog_logger_stdiostream *xtl_createlogger_stdiostream(FILE *stream, xentoollog_level min_level, unsigned int flags);
void xtl_logger_destroy(xentoollog_logger *logger);
void xtl_log(xentoollog_logger *logger, xentoollog_level level, int errnoval, const char *context, const char *format, ...);
