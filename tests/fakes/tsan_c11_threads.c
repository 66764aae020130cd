/* C11 threads made of POSIX threads.
 *
 * ThreadSanitizer intercepts pthread_create and its relatives, not thrd_create, by which librdkafka starts its threads:
 * such a thread is unknown to it and crashes in its first allocation. Linked into an executable with -rdynamic, these
 * definitions are found before those of the C library. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

static int to_c11(int error) {
  switch (error) {
    case 0:
      return thrd_success;
    case ENOMEM:
      return thrd_nomem;
    case ETIMEDOUT:
      return thrd_timedout;
    case EBUSY:
      return thrd_busy;
    default:
      return thrd_error;
  }
}

struct entry {
  thrd_start_t function;
  void* argument;
};

static void* enter(void* allocated) {
  const struct entry entry = *(struct entry*)allocated;
  free(allocated);
  return (void*)(intptr_t)entry.function(entry.argument);
}

int thrd_create(thrd_t* thread, thrd_start_t function, void* argument) {
  struct entry* entry = malloc(sizeof(*entry));
  if (entry == NULL) {
    return thrd_nomem;
  }
  entry->function = function;
  entry->argument = argument;
  const int error = pthread_create(thread, NULL, enter, entry);
  if (error != 0) {
    free(entry);
  }
  return to_c11(error);
}

int thrd_join(thrd_t thread, int* result) {
  void* value = NULL;
  const int error = pthread_join(thread, &value);
  if (error == 0 && result != NULL) {
    *result = (int)(intptr_t)value;
  }
  return to_c11(error);
}

int thrd_detach(thrd_t thread) { return to_c11(pthread_detach(thread)); }

int mtx_init(mtx_t* mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, (type & mtx_recursive) ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
  const int error = pthread_mutex_init((pthread_mutex_t*)mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  return to_c11(error);
}

void mtx_destroy(mtx_t* mutex) { pthread_mutex_destroy((pthread_mutex_t*)mutex); }
int mtx_lock(mtx_t* mutex) { return to_c11(pthread_mutex_lock((pthread_mutex_t*)mutex)); }
int mtx_trylock(mtx_t* mutex) { return to_c11(pthread_mutex_trylock((pthread_mutex_t*)mutex)); }
int mtx_unlock(mtx_t* mutex) { return to_c11(pthread_mutex_unlock((pthread_mutex_t*)mutex)); }

int cnd_init(cnd_t* condition) { return to_c11(pthread_cond_init((pthread_cond_t*)condition, NULL)); }
void cnd_destroy(cnd_t* condition) { pthread_cond_destroy((pthread_cond_t*)condition); }
int cnd_signal(cnd_t* condition) { return to_c11(pthread_cond_signal((pthread_cond_t*)condition)); }
int cnd_broadcast(cnd_t* condition) { return to_c11(pthread_cond_broadcast((pthread_cond_t*)condition)); }
int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  return to_c11(pthread_cond_wait((pthread_cond_t*)condition, (pthread_mutex_t*)mutex));
}
int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const struct timespec* until) {
  return to_c11(pthread_cond_timedwait((pthread_cond_t*)condition, (pthread_mutex_t*)mutex, until));
}
