#![doc = "See quorra_fuzz::command."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::command::run(bytes));
