/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The shape of the tables and what the files of this folder share:
 *
 *   table.c (options)   commands.c (commands, examples, exit codes)
 *        |
 *   value.c    text or number -> checked value in struct cli_options, and back
 *   record.c   KEY=VALUE,... -> a structure of values
 *   number.c   whole numbers and sizes      lookup.c   names      text.c   safe quoting
 *   args.c     argv -> values            config.c   JSON file -> values
 *   help.c  man.c  complete.c  dump.c     the tables -> text; gen.c runs them at build time
 */
#ifndef SKETE_MONITOR_CLI_INTERNAL_H
#define SKETE_MONITOR_CLI_INTERNAL_H

#include "cli.h"

enum cli_type {
	CLI_BOOL,	  /* bool: --x, --no-x, --x=on|off; JSON true, false */
	CLI_COUNT,	  /* uint64_t: -v, -vv, --x=N; JSON integer */
	CLI_UINT,	  /* uint64_t: decimal; JSON integer */
	CLI_SIZE,	  /* uint64_t, bytes: 512M; JSON string */
	CLI_WORD,	  /* unsigned int: index of a word of @words; JSON string */
	CLI_WORD_OR_PATH, /* struct cli_target; JSON string */
	CLI_COMMAND_NAME, /* unsigned int: enum cli_command; JSON string */
	CLI_STRING, /* char *, or struct cli_list if CLI_REPEAT; JSON string or array of them */
	CLI_PATH,   /* as CLI_STRING, but never empty */
	/* struct cli_records: KEY=VALUE,...; JSON object or, if CLI_REPEAT, array of them */
	CLI_RECORD,
};

#define CLI_POSITIONAL 0x01u /* also what stands alone on the command line; one per command */
#define CLI_NAMELESS   0x02u /* only positional: there is no --name */
#define CLI_REQUIRED   0x04u
#define CLI_REPEAT     0x08u /* every use adds one; CLI_STRING, CLI_PATH and CLI_RECORD */
#define CLI_TAIL       0x10u /* collects what stands after "--"; CLI_REPEAT */
#define CLI_BARE       0x40u /* a CLI_RECORD that may stand without a value: all defaults */
#define CLI_ARGV_ONLY  0x20u /* no key of --config, not shown by --dry-run, no --no-x */

struct cli_choice {
	const char *name;
	const char *help; /* for the man page: what it means */
};

struct cli_option {
	const char *name;
	char letter; /* '\0': no short form */
	enum cli_type type;
	unsigned int flags;
	unsigned int commands; /* bits: 1u << enum cli_command */
	const char *group;     /* heading in --help; the options of a group stand together */
	const char *metavar;   /* what stands for the value; NULL for CLI_BOOL, CLI_COUNT */
	uint64_t min, max;     /* CLI_COUNT, CLI_UINT, CLI_SIZE */
	uint64_t step;	       /* CLI_SIZE: a multiple of it, 0 for any */
	uint64_t init;	       /* the default: number, bytes, index of the word, or bool */
	const char *hint;      /* ends the sentence of a value that is wrong; may be NULL */
	const struct cli_choice *words;
	size_t nr_words;
	const char *brief;  /* one line for --help; of --no-x if a CLI_BOOL is on by default */
	const char *detail; /* more for the man page; may be NULL */
	size_t offset;	    /* of the value in struct cli_options, or in the record */
	/* CLI_RECORD: its keys, of which none is itself a CLI_RECORD or a CLI_REPEAT. */
	const struct cli_option *keys;
	size_t nr_keys;
	size_t record_bytes;
};

struct cli_example {
	const char *command;
	const char *help;
};

#define CLI_NR_EXAMPLES 3

struct cli_command_info {
	const char *name; /* NULL for CLI_TOP */
	const char *brief;
	const char *detail;
	struct cli_example examples[CLI_NR_EXAMPLES];
};

struct cli_exit_info {
	const char *code;
	const char *help;
};

#define CLI_MAX_OPTIONS	  128
#define CLI_MAX_KEYS	  32
#define CLI_CONFIG_MAX	  (1u << 20)
#define CLI_QUOTE_MAX	  96 /* room for a value in a sentence */
#define CLI_SIZE_TEXT_MAX 24

/* table.c, commands.c */
extern const struct cli_option cli_options_table[];
extern const size_t cli_nr_options;
extern const struct cli_command_info cli_commands[CLI_NR_COMMANDS];
extern const struct cli_exit_info cli_exit_table[];
extern const size_t cli_nr_exits;

/* The date on the man page: of the last change of meaning in the tables. */
#define CLI_MAN_DATE "2026-11-25"

/* lookup.c: finding things by name. */

bool cli_has_option(enum cli_command command, const struct cli_option *opt);
/* The option of @command that is called so, or NULL. */
const struct cli_option *cli_find_option(enum cli_command command, const char *name, size_t len);
/* True if a --no-NAME exists. */
bool cli_has_negation(const struct cli_option *opt);
size_t cli_option_index(const struct cli_option *opt);
const struct cli_option *cli_positional(enum cli_command command);
const struct cli_option *cli_tail(enum cli_command command);
/* The command of that name, or CLI_TOP. */
enum cli_command cli_find_command(const char *name);
/*
 * The words that an option with words takes, CLI_COMMAND_NAME included (there word 0 is the first
 * real command); NULL past the end.
 */
const char *cli_choice_name(const struct cli_option *opt, size_t index);
const char *cli_choice_help(const struct cli_option *opt, size_t index);

/* Edit distance where a swap of neighbours counts one. */
unsigned int cli_distance(const char *a, const char *b);

/* Collects the candidate that is nearest to a misspelled word. */
struct cli_nearest {
	const char *word;
	const char *best; /* NULL while nothing is near enough */
	unsigned int distance;
};

void cli_nearest_try(struct cli_nearest *n, const char *candidate);

/* text.c: strings of others in sentences of ours. */

/*
 * Writes @text to @dst, between single quotes, cut with "..." where it does not fit, with whatever
 * is not printable UTF-8 as \xNN, so that no terminal obeys it. Returns @dst.
 */
const char *cli_quote(char *dst, size_t size, const char *text);
/* The same without quotes, for file names that lead a sentence and for words of other libraries. */
const char *cli_printable(char *dst, size_t size, const char *text);
/* The length of the UTF-8 sequence at @s (@len bytes are there), or 0 if it is not valid. */
size_t cli_utf8_len(const char *s, size_t len);

/* value.c */

/*
 * @values is what @opt->offset counts in: a struct cli_options, or for a key of a CLI_RECORD the
 * record.
 */

/* Every option at its default; nothing is allocated. */
void cli_values_init(struct cli_options *options);
void cli_values_fini(struct cli_options *options);
/* One value at its default; release frees what it held before. */
void cli_value_reset(void *values, const struct cli_option *opt);
void cli_value_release(void *values, const struct cli_option *opt);
/* Moves the value of @opt, freeing what @dst held; @src is left with the default. */
void cli_value_move(void *dst, void *src, const struct cli_option *opt);
/*
 * Setters: check and store (a CLI_REPEAT option grows by one). Errors are -EINVAL and -ENOMEM, with
 * a sentence that lacks the name of the option: the caller puts "--x: " or "file:1:2: " in front.
 */
int cli_value_set_text(void *values, const struct cli_option *opt, const char *text,
		       struct sk_error *err) SK_MUST_CHECK;
int cli_value_set_bool(void *values, const struct cli_option *opt, bool value,
		       struct sk_error *err) SK_MUST_CHECK;
int cli_value_set_number(void *values, const struct cli_option *opt, uint64_t value,
			 struct sk_error *err) SK_MUST_CHECK;
/* Adds one to a CLI_COUNT. */
int cli_value_count(void *values, const struct cli_option *opt, struct sk_error *err) SK_MUST_CHECK;

bool cli_value_bool(const void *values, const struct cli_option *opt);
uint64_t cli_value_number(const void *values, const struct cli_option *opt);
/* The text of a CLI_WORD*, CLI_COMMAND_NAME, CLI_STRING or CLI_PATH; NULL if unset. */
const char *cli_value_text(const void *values, const struct cli_option *opt);
const struct cli_list *cli_value_list(const void *values, const struct cli_option *opt);

const struct cli_records *cli_value_records(const void *values, const struct cli_option *opt);

/*
 * record.c. A record is @opt->record_bytes long, with every key at its default; NULL: no memory.
 */
void *cli_record_new(const struct cli_option *opt) SK_MUST_CHECK;
void cli_record_free(const struct cli_option *opt, void *record);
const void *cli_record_at(const struct cli_option *opt, const struct cli_records *records,
			  size_t index);
/* True if @text is meant as the value of @opt: it has a key, or a '='. */
bool cli_record_is_text(const struct cli_option *opt, const char *text);
const struct cli_option *cli_record_key(const struct cli_option *opt, const char *name, size_t len);
/* Leaves a sentence about a key that @opt does not have; returns -EINVAL. */
int cli_record_fail_key(const struct cli_option *opt, const char *name, struct sk_error *err);
/*
 * Adds @record, whose keys given[] were set, to the value of @opt, or replaces that if it is no
 * CLI_REPEAT. @record is gone afterwards, also on failure: -EINVAL (a required key is missing),
 * -ENOMEM.
 */
int cli_record_add(void *values, const struct cli_option *opt, void *record,
		   const bool given[CLI_MAX_KEYS], struct sk_error *err) SK_MUST_CHECK;
/* From "KEY=VALUE,KEY,...": a key alone is on; two commas are one in a value. */
int cli_record_set_text(void *values, const struct cli_option *opt, const char *text,
			struct sk_error *err) SK_MUST_CHECK;
void cli_records_free(const struct cli_option *opt, struct cli_records *records);
/* How @key is written, "path=FILE" or "ro". */
const char *cli_key_label(char *dst, size_t size, const struct cli_option *key);

/* "512M": the largest unit that divides it. cli_parse_size() reads it back. */
const char *cli_format_size(char dst[CLI_SIZE_TEXT_MAX], uint64_t bytes);
int cli_parse_size(const char *text, uint64_t *bytes, struct sk_error *err) SK_MUST_CHECK;
int cli_parse_uint(const char *text, uint64_t *value, struct sk_error *err) SK_MUST_CHECK;

/*
 * config.c: reads @text (@name for messages) as a configuration of @command into @options, which
 * the caller has initialised and ends also on failure; given[i] becomes true for option i. Errors
 * are -EINVAL and -ENOMEM (-EPROTO would be a fault of ours).
 */
int cli_config_parse(const char *name, const char *text, size_t len, enum cli_command command,
		     struct cli_options *options, bool given[CLI_MAX_OPTIONS],
		     struct sk_error *err) SK_MUST_CHECK;
/* The whole file, at most CLI_CONFIG_MAX bytes; the caller frees *@text. */
int cli_config_read(const char *path, char **text, size_t *len, struct sk_error *err) SK_MUST_CHECK;

/* json_scan.c: where the members of an object stand, which jansson does not tell. */

struct cli_json_pos {
	size_t offset;	     /* bytes */
	unsigned int line;   /* from 1 */
	unsigned int column; /* from 1, in characters */
};

struct cli_json_scan {
	const char *text;
	size_t len;
	struct cli_json_pos at;
	bool has_begun;
};

/* A key with its quotes, and a value, as they are spelled. */
struct cli_json_member {
	struct cli_json_pos key, value;
	size_t key_len, value_len;
};

void cli_json_scan_init(struct cli_json_scan *scan, const char *text, size_t len);
/*
 * The next member of the outermost object: 1, 0 at its end, -EINVAL if @text is not an object.
 * Made for text that jansson has accepted; other text gives -EINVAL or members that jansson will
 * not decode, but never a read beyond @len.
 */
int cli_json_scan_next(struct cli_json_scan *scan, struct cli_json_member *member) SK_MUST_CHECK;
/* Line and column of @offset <= @len. */
struct cli_json_pos cli_json_locate(const char *text, size_t offset);

/* "auto, pvh or multiboot", with @last_word as one more choice unless it is NULL. */
void cli_list_choices(char *dst, size_t size, const struct cli_option *opt, const char *last_word);
/* The default as it would be written ("512M", "auto", "1"), or NULL if there is none to show. */
const char *cli_default_text(const struct cli_option *opt, char dst[CLI_SIZE_TEXT_MAX]);

/* help.c, used by man.c too. */

/* The brief help of @opt with its choices, range and default. */
const char *cli_summary(char *dst, size_t size, const struct cli_option *opt);
/* "[--kernel] FILE [-- ARG...]": what follows the command's name and [OPTIONS]; may be "". */
const char *cli_operands(char *dst, size_t size, enum cli_command command);
/* The name on the command line without dashes: "cpus", "no-pit" (which is on by default). */
const char *cli_shown_name(char *dst, size_t size, const struct cli_option *opt);

#endif
