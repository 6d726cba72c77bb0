# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# The front door: short names for what Meson and the scripts in tools/ do. `make help` lists them.

BUILD  ?= build
PREFIX ?= /usr/local
MESON  ?= meson

.PHONY: all run run-linux run-pi test bench install check clean help

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/install-packages --check build
	@$(MESON) setup $(BUILD)

run:
	@tools/run-linux

run-linux: run

run-pi:
	@tools/install-packages build
	@$(MAKE) --no-print-directory all
	$(BUILD)/bin/skete-cc -O2 -fopenmp apps/pi.c -o $(BUILD)/pi
	$(BUILD)/bin/skete run --cpus 2 $(BUILD)/pi

test:
	@tools/install-packages build test run
	@tools/test

bench:
	@tools/install-packages build run
	@bench/run

install: all
	@$(MESON) configure $(BUILD) -Dprefix='$(PREFIX)'
	@ninja -C $(BUILD)
	@DESTDIR='$(DESTDIR)' $(MESON) install -C $(BUILD) --no-rebuild

check:
	@tools/install-packages --check build test
	@tools/test --static

clean:
	rm -rf $(BUILD)

help:
	@echo 'make          build; the programs are in $(BUILD)/bin (installs nothing)'
	@echo 'make run      install the packages needed, build, boot a Linux and give its shell'
	@echo 'make run-pi   the same for a C program with OpenMP as a unikernel'
	@echo 'make test     install the packages needed, build, run every test'
	@echo 'make bench    run the measurements in bench/, JSON in $(BUILD)/bench'
	@echo 'make check    the static checks only: format, headers, arrows, state, documents'
	@echo 'make install  install to PREFIX (now $(PREFIX)) below DESTDIR (now "$(DESTDIR)")'
	@echo 'make clean    remove $(BUILD)'
