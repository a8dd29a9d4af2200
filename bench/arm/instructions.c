// A plug-in of QEMU's user-mode emulator that counts the instructions a program executes.
//
// The functions are declared here because Linux distributions ship the emulator without their header; they are version 1 of QEMU's
// plug-in interface, https://www.qemu.org/docs/master/devel/tcg-plugins.html.
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

typedef uint64_t plugin_id;
struct block;

extern size_t qemu_plugin_tb_n_insns(const struct block *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct block *, int, void *, uint64_t);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);

// The version of the interface, which QEMU reads.
int qemu_plugin_version = 1;

static const int ADD = 0;
static uint64_t count;

static void translated(plugin_id id, struct block *block) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, &count, qemu_plugin_tb_n_insns(block));
}

static void ended(plugin_id id, void *nothing) {
  (void)id;
  (void)nothing;
  fprintf(stderr, "%" PRIu64 " instructions\n", count);
}

int qemu_plugin_install(plugin_id id, const void *info, int arguments, char **values) {
  (void)info;
  (void)arguments;
  (void)values;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
