import com.google.protobuf.InvalidProtocolBufferException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;
import tributary.v1.EventOuterClass.Event;

/**
 * The peer of bench_speed: a Kafka Streams topology, exactly_once_v2, one thread, that parses each event, updates a store of
 * users (RocksDB, changelog, record caching) and emits what changed. A user costs it less than it costs us: a counter, the
 * latest time and the last ten items; no duplicates are looked for, nothing else is counted.
 *
 * <p>Arguments: brokers, application id, topic of events, topic to emit to, cache bytes. Runs until it is killed.
 */
public final class StreamsPeer {
  private static final int ITEMS = 10;

  private static byte[] update(byte[] value, byte[] state) {
    final Event event;
    try {
      event = Event.parseFrom(value);
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalArgumentException(e);
    }
    final ByteBuffer old = ByteBuffer.wrap(state);
    final long count = state.length == 0 ? 0 : old.getLong();
    final long latest = state.length == 0 ? 0 : old.getLong();
    // The rest: items, each with its length before it, the oldest first.
    int items = 0;
    for (int at = old.position(); at < state.length; at += 1 + (state[at] & 0xff)) {
      items++;
    }
    int begin = old.position();
    if (items == ITEMS) {
      begin += 1 + (state[begin] & 0xff);
    }
    final byte[] item = event.getItemIdBytes().toByteArray();
    final ByteBuffer next = ByteBuffer.allocate(16 + state.length - begin + 1 + item.length);
    final long time = event.getEventTime().getSeconds() * 1000 + event.getEventTime().getNanos() / 1_000_000;
    next.putLong(count + 1).putLong(Math.max(latest, time)).put(state, begin, state.length - begin);
    next.put((byte) item.length).put(item);
    return next.array();
  }

  public static void main(String[] args) throws Exception {
    final Path dir = Files.createTempDirectory("tributary-streams");
    final Properties config = new Properties();
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
    config.put(StreamsConfig.STATE_DIR_CONFIG, dir.toString());
    config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, Long.parseLong(args[4]));
    config.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");

    final StreamsBuilder builder = new StreamsBuilder();
    builder
        .stream(args[2], Consumed.with(Serdes.String(), Serdes.ByteArray()))
        .groupByKey()
        .aggregate(
            () -> new byte[0],
            (user, value, state) -> update(value, state),
            Materialized.<String, byte[], KeyValueStore<Bytes, byte[]>>as("users")
                .withKeySerde(Serdes.String())
                .withValueSerde(Serdes.ByteArray())
                .withCachingEnabled())
        .toStream()
        .to(args[3], Produced.with(Serdes.String(), Serdes.ByteArray()));
    final KafkaStreams streams = new KafkaStreams(builder.build(), config);
    streams.setUncaughtExceptionHandler(
        e -> {
          e.printStackTrace();
          Runtime.getRuntime().halt(1);
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    streams.start();
    Thread.currentThread().join();
  }
}
