#![doc = "See quorra_fuzz::grpc."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::grpc::run(bytes));
