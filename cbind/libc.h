/* SPDX-License-Identifier: MIT */
/* The C library: what is needed to read the log of a Xen library, and to free what libxenstore returns. */

void free(void *memory);
FILE *open_memstream(char **text, size_t *size);
int fputs(const char *text, FILE *stream);
int fflush(FILE *stream);
void rewind(FILE *stream);
int fclose(FILE *stream);
